//! Two servers and two workers, any of which may be killed and comes back.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use tokio::sync::Mutex;

use super::harness::process::Process;
use super::log::wrong;

/// The commands of the processes; the servers come first.
const COMMANDS: [&str; 4] = ["serve", "serve", "work", "work"];

/// Servers among them.
pub const SERVERS: usize = 2;

/// All processes.
pub struct Fleet {
    settings: Vec<(&'static str, String)>,
    processes: [Mutex<Option<Process<Vec<String>>>>; COMMANDS.len()],
    /// Where the servers are, or were.
    base_urls: StdMutex<[String; SERVERS]>,
    /// What was wrong in the logs of those that have ended.
    wrong: StdMutex<Vec<String>>,
}

impl Fleet {
    /// Starts them all.
    pub async fn start(settings: &[(&'static str, String)]) -> Self {
        let fleet = Self {
            settings: settings.to_vec(),
            processes: Default::default(),
            base_urls: StdMutex::default(),
            wrong: StdMutex::default(),
        };
        for index in 0..COMMANDS.len() {
            fleet.launch(index).await;
        }
        fleet
    }

    /// Where a server is.
    pub fn base_url(&self, server: usize) -> String {
        self.base_urls.lock().unwrap()[server].clone()
    }

    /// Kills a process, and starts it again after a while.
    pub async fn kill(&self, index: usize, pause: Duration) {
        let killed = self.processes[index].lock().await.take();
        let killed = killed.expect("it is running");
        killed.signal("KILL");
        let (_, wrong) = killed.ended().await;
        self.wrong.lock().unwrap().extend(wrong);
        tokio::time::sleep(pause).await;
        self.launch(index).await;
    }

    /// Stops them all, and checks that no log told of a defect.
    pub async fn stop(&self) {
        for process in &self.processes {
            let wrong = process.lock().await.take().expect("it is running").stop().await;
            self.wrong.lock().unwrap().extend(wrong);
        }
        assert_eq!(*self.wrong.lock().unwrap(), Vec::<String>::new());
    }

    async fn launch(&self, index: usize) {
        let process = Process::start(COMMANDS[index], &self.settings, wrong).await;
        if index < SERVERS {
            self.base_urls.lock().unwrap()[index] = process.url("");
        }
        *self.processes[index].lock().await = Some(process);
    }
}
