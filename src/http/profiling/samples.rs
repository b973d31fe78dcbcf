//! What was noted at each interruption, in the format of `pprof`: where functions begin, and which file is mapped where.
//!
//! Names are found by whoever reads the profile, with the symbols of the same build. To find them here would take some 300 MB that
//! are not given back, and what runs in production has none.

use std::collections::HashMap;
use std::path::Path;

use pprof::UnresolvedReport;
use pprof::protos::{Label, Location, Mapping, Message as _, Profile, Sample, ValueType};

/// The function that is called at each interruption, and what it calls, as `pprof` is to leave them out.
const HANDLER: &str = "perf_signal_handler";

/// A file that is mapped to be executed.
#[derive(Debug, PartialEq, Eq)]
struct Mapped {
    start: u64,
    limit: u64,
    offset: u64,
    path: String,
}

/// The texts of a profile, each once. The first is empty.
struct Texts {
    places: HashMap<String, i64>,
    texts: Vec<String>,
}

/// The locations of a profile, each once.
#[derive(Default)]
struct Locations {
    ids: HashMap<u64, u64>,
    locations: Vec<Location>,
}

/// Writes a profile, by what `/proc/self/maps` says and with the program's own file first.
///
/// # Errors
/// It cannot be written, which is a defect.
pub(super) fn encode(report: &UnresolvedReport, maps: &str, program: &Path) -> anyhow::Result<Vec<u8>> {
    let (mut texts, mut locations) = (Texts::new(), Locations::default());
    let mapped = mapped(maps, program);
    let nanoseconds = 1_000_000_000 / i64::from(report.timing.frequency.max(1));
    let kinds = [("samples", "count"), ("cpu", "nanoseconds")];
    let [samples, cpu] =
        kinds.map(|(ty, unit)| ValueType { ty: texts.of(ty), unit: texts.of(unit), ..ValueType::default() });
    let thread = texts.of("thread");
    let mut profile = Profile { sample_type: vec![samples, cpu.clone()], ..Profile::default() };
    for (stack, count) in &report.data {
        let frames = stack.frames.iter().map(|frame| (frame.ip() as u64, frame.symbol_address() as u64));
        let frames: Vec<_> = frames.collect();
        let location_id =
            interrupted(&frames, &mapped, program).map(|address| locations.of(address, &mapped)).collect();
        let name = stack.thread_name.get(..stack.thread_name_length).unwrap_or_default();
        let name = texts.of(&String::from_utf8_lossy(name));
        let label = Label { key: thread, str: name, ..Label::default() };
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let value = vec![count, count.saturating_mul(nanoseconds)];
        profile.sample.push(Sample { location_id, value, label: vec![label], ..Sample::default() });
    }
    profile.mapping = (1..).zip(&mapped).map(|(id, mapped)| mapped.written(id, &mut texts)).collect();
    profile.location = locations.locations;
    profile.drop_frames = texts.of(HANDLER);
    profile.duration_nanos = i64::try_from(report.timing.duration.as_nanos()).unwrap_or(i64::MAX);
    profile.period_type = Some(cpu).into();
    profile.period = nanoseconds;
    profile.string_table = texts.texts;
    Ok(profile.write_to_bytes()?)
}

/// Where the functions begin that were interrupted, the innermost first, of frames with the place that each was at and where its
/// function begins. Those before them are of the interruption: the last of them is where the kernel has the program go on, which is
/// in no file of ours.
///
/// What was noted is counted together by functions, and keeps the places of whatever was met first. To tell those would be to tell
/// one line, or one function that is inlined, as what all the time went to.
fn interrupted<'a>(frames: &'a [(u64, u64)], mapped: &'a [Mapped], program: &Path) -> impl Iterator<Item = u64> + 'a {
    let path = program.to_string_lossy().into_owned();
    let is_ours = move |(place, _): &(u64, u64)| mapped.iter().any(|it| it.has(*place) && it.path == path);
    let begin = frames.iter().position(|frame| !is_ours(frame)).map_or(0, |place| place + 1);
    let stack = frames.get(begin..).unwrap_or_default();
    // Where nobody knows the function, what is behind the call stands for it.
    stack.iter().map(|(place, function)| if *function == 0 { place.saturating_sub(1) } else { *function })
}

/// The files that are mapped to be executed, the program's own first.
fn mapped(maps: &str, program: &Path) -> Vec<Mapped> {
    let mut mapped: Vec<Mapped> = maps.lines().filter_map(Mapped::read).collect();
    mapped.sort_by_key(|it| Path::new(&it.path) != program);
    mapped
}

impl Mapped {
    /// Reads a line such as `55d0c0-55d0d0 r-xp 00002000 fe:00 42   /usr/bin/shelfwise`.
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.splitn(6, ' ');
        let (start, limit) = fields.next()?.split_once('-')?;
        fields.next().filter(|rights| rights.contains('x'))?;
        let offset = fields.next()?;
        let path = fields.nth(2)?.trim();
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self { start: number(start)?, limit: number(limit)?, offset: number(offset)?, path: path.to_owned() })
    }

    fn has(&self, address: u64) -> bool {
        (self.start..self.limit).contains(&address)
    }

    fn written(&self, id: u64, texts: &mut Texts) -> Mapping {
        Mapping {
            id,
            memory_start: self.start,
            memory_limit: self.limit,
            file_offset: self.offset,
            filename: texts.of(&self.path),
            ..Mapping::default()
        }
    }
}

impl Texts {
    fn new() -> Self {
        Self { places: HashMap::from([(String::new(), 0)]), texts: vec![String::new()] }
    }

    /// The place of a text.
    fn of(&mut self, text: &str) -> i64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = i64::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

impl Locations {
    /// The number of an address.
    fn of(&mut self, address: u64, mapped: &[Mapped]) -> u64 {
        let id = self.ids.len() as u64 + 1;
        *self.ids.entry(address).or_insert_with(|| {
            let mapping_id = (1..).zip(mapped).find(|(_, it)| it.has(address)).map_or(0, |(id, _)| id);
            self.locations.push(Location { id, mapping_id, address, ..Location::default() });
            id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
1000-2000 r--p 00000000 fe:00 1      /usr/lib/libc.so.6
2000-3000 r-xp 00001000 fe:00 1      /usr/lib/libc.so.6
5000-6000 r--p 00000000 fe:00 2      /usr/bin/shelf wise
6000-8000 r-xp 00001000 fe:00 2      /usr/bin/shelf wise
9000-a000 rw-p 00000000 00:00 0
b000-c000 r-xp 00000000 00:00 0      [vdso]
";

    #[test]
    fn what_is_executed_is_read_the_program_first() {
        let mapped = mapped(MAPS, Path::new("/usr/bin/shelf wise"));
        let found: Vec<_> = mapped.iter().map(|it| (it.start, it.limit, it.offset, it.path.as_str())).collect();
        let expected = [
            (0x6000, 0x8000, 0x1000, "/usr/bin/shelf wise"),
            (0x2000, 0x3000, 0x1000, "/usr/lib/libc.so.6"),
            (0xb000, 0xc000, 0, "[vdso]"),
        ];
        assert_eq!(found, expected);
        for line in ["", "x", "1-2", "1-2 r-xp", "1-z r-xp 0 fe:00 1 /a"] {
            assert_eq!(Mapped::read(line), None, "{line}");
        }
    }

    #[test]
    fn the_interruption_itself_is_left_out() {
        let program = Path::new("/usr/bin/shelf wise");
        let mapped = mapped(MAPS, program);
        let check = |frames: &[(u64, u64)], expected: &[u64]| {
            assert_eq!(interrupted(frames, &mapped, program).collect::<Vec<_>>(), expected, "{frames:x?}");
        };
        // Handler, where the kernel goes on, what was interrupted, and its callers, of which one is in no table.
        let handler = [(0x6001, 0x6000), (0x6002, 0x6000), (0x2001, 0x2000)];
        check(&[&handler[..], &[(0x6018, 0x6010), (0x6028, 0x6020), (0x2030, 0)]].concat(), &[0x6010, 0x6020, 0x202f]);
        check(&handler, &[]);
        // A program that has libc in it: who reads the profile leaves out the handler by its name.
        check(&[(0x6001, 0x6000), (0x6018, 0x6010)], &[0x6000, 0x6010]);
        check(&[], &[]);
    }
}
