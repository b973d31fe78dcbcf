//! `docker compose`, played: what it starts are processes of the test, what it executes runs beside them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::harness::logs;
use crate::harness::redis::RedisServer;

/// How long a process may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The program `docker`. What starts and stops is asked of the test, the rest is done here. Variables reach what is started where
/// `docker-compose.yml` passes them on.
const DOCKER: &str = r#"#!/bin/bash
[ "$1" = compose ] || { echo "docker $1 is not played" >&2; exit 64; }
shift
act=$1; shift
case $act in
exec)
  while [[ $1 == -* ]]; do shift; done
  service=$1; shift
  case $service in
  postgres)
    args=()
    while (($#)); do
      if [ "$1" = -d ]; then args+=(-d "$PGDATABASE"); shift 2; else args+=("$1"); shift; fi
    done
    exec "${args[@]}" ;;
  api | worker | redis) exec "$@" ;;
  esac ;;
logs)
  lines=+1
  while [[ $1 == -* ]]; do case $1 in --tail) lines=$2; shift 2 ;; --since) shift 2 ;; *) shift ;; esac; done
  for service; do
    if [ "$service" = postgres ]; then tail -n "$lines" "$POSTGRES_LOG"; elif [ -e "$HOME/log/$service" ]; then tail -n "$lines" "$HOME/log/$service"; fi
  done
  exit ;;
run)
  while [[ $1 == -* ]]; do shift; done
  shift; exec shelfwise "$@" ;;
ps | up | restart | stop)
  exec 3<>"/dev/tcp/127.0.0.1/$DOCKER_PORT"
  { echo "$act $*"; 
    env | while IFS='=' read -r name _; do grep -qF "\${$name" docker-compose.yml && echo "$name=${!name}"; done || true
    echo; } >&3
  read -r status <&3; cat <&3; exit "$status" ;;
esac
echo "docker compose $act $* is not played" >&2
exit 64
"#;

/// A process of the program.
struct Process {
    service: String,
    child: Child,
    address: String,
}

/// Who starts and stops.
pub struct Docker {
    pub port: u16,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    processes: Mutex<Vec<Process>>,
    redis: Arc<Mutex<RedisServer>>,
    image: Mutex<String>,
}

impl Docker {
    /// Listens for the program above until the test ends.
    pub fn start(folder: &Path, environment: &[(String, String)], redis: Arc<Mutex<RedisServer>>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let docker = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            folder: folder.to_owned(),
            environment: environment.to_vec(),
            processes: Mutex::default(),
            redis,
            image: Mutex::default(),
        });
        let weak = Arc::downgrade(&docker);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Some(docker), Ok(stream)) = (weak.upgrade(), stream) else { break };
                docker.hear(stream);
            }
        });
        docker
    }

    /// Where the server is.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address("api"))
    }

    /// Where the first process of a service is.
    pub fn address(&self, service: &str) -> String {
        let processes = self.processes.lock().unwrap();
        let process = processes.iter().find(|process| process.service == service);
        process.unwrap_or_else(|| panic!("no {service} runs")).address.clone()
    }

    /// How many processes of a service run.
    pub fn count(&self, service: &str) -> usize {
        self.processes.lock().unwrap().iter().filter(|process| process.service == service).count()
    }

    /// The image that was asked for last.
    pub fn image(&self) -> String {
        self.image.lock().unwrap().clone()
    }

    /// Stops all processes of a service, as an orderly stop does.
    pub fn stop(&self, service: &str) {
        let mut processes = self.processes.lock().unwrap();
        let (stopped, kept) = processes.drain(..).partition(|process| process.service == service);
        *processes = kept;
        drop(processes);
        for mut process in stopped {
            let pid = process.child.id().to_string();
            Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            process.child.wait().unwrap();
        }
    }

    /// Starts so many processes of a service: workers beside those that run, servers in their place.
    pub fn up(&self, service: &str, count: usize, overrides: &[(String, String)]) -> Result<(), String> {
        match service {
            "redis" => {
                let mut redis = self.redis.lock().unwrap();
                tokio::runtime::Runtime::new().unwrap().block_on(redis.restart());
                return Ok(());
            }
            "api" => self.stop(service),
            "worker" | "postgres" => {}
            _ => return Err(format!("no such service: {service}")),
        }
        while service != "postgres" && self.count(service) < count {
            let process = self.spawn(service, overrides);
            self.processes.lock().unwrap().push(process);
        }
        if service == "api" {
            fs::write(self.folder.join("port"), self.address("api").rsplit(':').next().unwrap()).unwrap();
        }
        Ok(())
    }

    fn spawn(&self, service: &str, overrides: &[(String, String)]) -> Process {
        let command = if service == "api" { "serve" } else { "work" };
        let mut child = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
            .arg(command)
            .env_clear()
            .envs(self.environment.iter().chain(overrides).map(|(name, value)| (name, value)))
            .env("PORT", "0")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        fs::create_dir_all(self.folder.join("log")).unwrap();
        let log = File::options().create(true).append(true).open(self.folder.join("log").join(service)).unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || keep(stderr, log, &tell));
        let address = told.recv_timeout(START_TIMEOUT).expect("the process says where it listens");
        Process { service: service.to_owned(), child, address }
    }

    fn hear(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let asked = lines.next().unwrap().unwrap();
        let set = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
        let overrides: Vec<(String, String)> = set
            .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        let answer = match self.act(&asked, &overrides) {
            Ok(text) => format!("0\n{text}"),
            Err(text) => format!("64\n{text}\n"),
        };
        // Whoever asked may be gone.
        let _ = stream.write_all(answer.as_bytes());
    }

    fn act(&self, asked: &str, overrides: &[(String, String)]) -> Result<String, String> {
        let mut count = 1;
        let mut services = Vec::new();
        let mut words = asked.split_whitespace();
        let act = words.next().unwrap_or_default();
        while let Some(word) = words.next() {
            match word {
                "--scale" => count = words.next().and_then(|scale| scale.split('=').nth(1)?.parse().ok()).unwrap_or(1),
                "--detach" | "--no-build" | "--no-deps" | "--force-recreate" => {}
                _ if word.starts_with('-') => return Err(format!("docker compose {asked} is not played")),
                service => services.push(service),
            }
        }
        let image = overrides.iter().find(|(name, _)| name == "SHELFWISE_IMAGE");
        *self.image.lock().unwrap() = image.map(|(_, image)| image.clone()).unwrap_or_default();
        let mut answer = String::new();
        for service in services {
            match act {
                "up" => self.up(service, count, overrides)?,
                "stop" => self.stop(service),
                "restart" => {
                    self.stop(service);
                    self.up(service, 1, overrides)?;
                }
                _ => {
                    let running = match service {
                        "postgres" => 1,
                        "redis" => usize::from(self.redis.lock().unwrap().runs()),
                        _ => self.count(service),
                    };
                    answer.push_str(&format!("{service} {running} running\n"));
                }
            }
        }
        Ok(answer)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        for process in self.processes.get_mut().unwrap() {
            // It may have ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        // Whoever waits for the next asker sees that there is nobody to ask.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Keeps a log, and tells the address that the process listens on.
fn keep(stderr: ChildStderr, mut log: File, tell: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stderr);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = entry["http.address"].as_str() {
            // Nobody waits for a second one.
            let _ = tell.send(address.to_owned());
        }
        log.write_all(line.as_bytes()).unwrap();
        logs::keep(line.trim_end());
        line.clear();
    }
}

/// Makes the programs that blocks find before those of the machine.
pub fn shims(folder: &Path) {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shelfwise"), bin.join("shelfwise")).unwrap();
    // The database of a test is called otherwise than that of an installation.
    let psql = format!(
        "#!/bin/bash\nargs=()\nfor arg; do [ \"$arg\" = shelfwise ] && arg=$PGDATABASE; args+=(\"$arg\"); done\nexec {} -X -v ON_ERROR_STOP=1 -P pager=off \"${{args[@]}}\"\n",
        find("psql")
    );
    let curl = format!(
        "#!/bin/bash\nexec {} --connect-to \"localhost:8000:127.0.0.1:$(cat \"$HOME/port\")\" \"$@\"\n",
        find("curl")
    );
    let redis =
        format!("#!/bin/bash\n[ \"$1\" = -u ] || set -- -u \"$REDIS_URL\" \"$@\"\nexec {} \"$@\"\n", find("redis-cli"));
    for (name, text) in [("docker", DOCKER), ("psql", &psql), ("curl", &curl), ("redis-cli", &redis)] {
        let path = bin.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Where a program of the machine is.
fn find(program: &str) -> String {
    let folders = std::env::var("PATH").unwrap();
    let places = folders.split(':').map(|folder| Path::new(folder).join(program));
    let found = places.into_iter().find(|place| place.exists());
    found.unwrap_or_else(|| panic!("{program} is not installed: script/bootstrap test")).display().to_string()
}
