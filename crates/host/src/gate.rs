//! The kernel half: loaded from the object inside this binary, filled, attached, pinned, read back.
//!
//! A reload is a new generation: programs and policy tables are loaded anew, then each pinned link is switched to the
//! new program (`bpf_link_update`), so that no packet meets half a policy. Counters and bans are kept: their maps are
//! pinned and shared by all generations.

mod attach;
mod bans;
mod fill;
mod filter;
mod pinned;
mod pins;
mod readback;
mod reassembly;
mod trial;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{CgroupSkb, Program, ProgramError, ProgramFd, SchedClassifier, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, TestRun as _};
use gate::layout::{self, Config, Count, Cpu, map};
use gate::limit::Limits;
use gate::memory::GateTables;
use gate::reason::{REASONS, Reason};

/// The ring buffer of [`layout::Event`]s. Readable as a file descriptor when there are some.
pub type Events = RingBuf<MapData>;

pub use attach::Mode;
pub use bans::{Banned, Inserted, Network, Sources, Standing};
pub use filter::Side;
pub use pinned::{Found, standing};
pub use pins::Pins;
pub use readback::{Fault, Guarded};
pub use trial::MARKED;

use crate::error::Error;
use crate::machine::Interface;

/// The kernel object, as `cargo xtask bpf` built it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/gate.bpf.o");

/// The XDP program's name in the object.
fn xdp_name(raw_ip: bool) -> &'static str {
    if raw_ip { "ringfence_xdp_ip" } else { "ringfence_xdp" }
}

/// The TC program's name in the object.
fn tc_name(raw_ip: bool) -> &'static str {
    if raw_ip { "ringfence_tc_ip" } else { "ringfence_tc" }
}

/// The name of the program that watches what leaves.
fn out_name(raw_ip: bool) -> &'static str {
    if raw_ip { "ringfence_out_ip" } else { "ringfence_out" }
}

/// The cgroup program's name in the object.
const SOCKET: &str = "ringfence_sock";

/// Maps that outlive a generation.
const KEPT: [&str; 7] =
    [map::CPU, map::LIVE, map::BANS_V4, map::BANS_V6, map::SPECIAL, map::NETWORKS, map::PROVEN];

/// One generation of the gate, loaded into the kernel. Dropping it closes our handles; what is pinned goes on.
#[derive(Debug)]
pub struct Gate {
    ebpf: Ebpf,
    pins: Pins,
    tables: GateTables,
    guarded: Vec<Guarded>,
    tc_links: bool,
}

impl Gate {
    /// Loads the programs and fills their tables. Nothing is attached yet, but directories are made in `pins`, which must
    /// be on a bpf file system (see [`crate::bpffs::prepare`]).
    ///
    /// # Errors
    ///
    /// What the kernel refused, with the verifier's last words.
    pub fn load(tables: &GateTables, pins: &Path) -> Result<Self, Error> {
        let pins = Pins::prepare(pins)?;
        let mut ebpf = load_object(tables, Some(&pins))?;
        fill::fill(&mut ebpf, tables)?;
        Sources::of(&mut ebpf)?.begin(crate::machine::random()?, crate::machine::forwards())?;
        load_programs(&mut ebpf)?;
        Ok(Self { ebpf, pins, tables: tables.clone(), guarded: Vec::new(), tc_links: true })
    }

    /// Puts the gate before `interfaces`: switches the links that a former daemon left, attaches where there are none,
    /// and detaches from interfaces that are no longer named. If one fails, those that were new are detached again.
    ///
    /// # Errors
    ///
    /// [`Error::Attach`] with the interface and what stands in the way.
    pub fn attach(
        &mut self,
        interfaces: &[Interface],
        patterns: &[policy::ruleset::InterfaceName],
    ) -> Result<(), Error> {
        fill::interfaces(&mut self.ebpf, interfaces, patterns)?;
        let wish = self.wish();
        self.guarded = attach::attach(&mut self.ebpf, &self.pins, interfaces, wish)?;
        if self.searches_reassembled() {
            reassembly::attach(&mut self.ebpf, &self.pins.reassembly())?;
        } else {
            reassembly::remove(&self.pins.reassembly())?;
        }
        self.pins.keep_generation(&self.ebpf)
    }

    /// Goes with the interfaces: attaches to new ones, gives pins their new names, forgets those that are gone or no
    /// longer named. Returns what could not be attached; everything else stands.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the gate cannot be told about the interfaces; then nothing was changed.
    pub fn follow(
        &mut self,
        interfaces: &[Interface],
        patterns: &[policy::ruleset::InterfaceName],
    ) -> Result<Vec<Error>, Error> {
        forget_others(&mut self.ebpf, interfaces)?;
        fill::interfaces(&mut self.ebpf, interfaces, patterns)?;
        let wish = self.wish();
        let (mut guarded, errors) = attach::follow(&mut self.ebpf, &self.pins, interfaces, wish);
        for now in &mut guarded {
            let before = self.guarded.iter().find(|one| one.index == now.index && one.place() == now.place());
            now.adopted = before.is_some_and(|before| before.adopted);
        }
        self.guarded = guarded;
        Ok(errors)
    }

    /// Does without TC links, as on a kernel before 6.6, which has none: so that the other way can be tried on any kernel.
    #[must_use]
    pub fn without_tc_links(mut self) -> Self {
        self.tc_links = false;
        self
    }

    fn wish(&self) -> attach::Wish {
        attach::Wish { answers: self.watches_answers(), tc_links: self.tc_links }
    }

    /// Whether what this host answers is watched.
    pub fn watches_answers(&self) -> bool {
        self.tables.config.flags & layout::CAPTURES != 0
    }

    /// Whether datagrams are searched again when the kernel has put them together.
    pub fn searches_reassembled(&self) -> bool {
        self.tables.config.tag != 0
    }

    /// Before which interfaces the gate stands now.
    pub fn guarded(&self) -> impl Iterator<Item = &Guarded> {
        self.guarded.iter().filter(|one| one.side == Side::In)
    }

    /// Where what leaves is watched.
    pub fn watched(&self) -> impl Iterator<Item = &Guarded> {
        self.guarded.iter().filter(|one| one.side == Side::Out)
    }

    /// Reads the kernel back: links, programs, tables.
    pub fn faults(&self) -> Vec<Fault> {
        readback::faults(&self.ebpf, &self.pins, &self.guarded, &self.tables)
    }

    /// The ring buffer of events; can be taken once.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the object has none.
    pub fn take_events(&mut self) -> Result<Events, Error> {
        let map = self.ebpf.take_map(map::EVENTS).ok_or_else(|| missing(map::EVENTS))?;
        RingBuf::try_from(map).map_err(Error::kernel("the ring buffer"))
    }

    /// Banned, limited and proven sources.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the object has no maps for them.
    pub fn sources(&mut self) -> Result<Sources<'_>, Error> {
        Sources::of(&mut self.ebpf)
    }

    /// Packets and bytes by reason.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read.
    pub fn counts(&self) -> Result<Vec<(Reason, Count)>, Error> {
        let cpus = cpus(&self.ebpf)?;
        let sum = |index: usize| {
            cpus.iter().filter_map(|cpu| cpu.counts.get(index)).fold(Count::default(), |sum, one| Count {
                packets: sum.packets.saturating_add(one.packets),
                bytes: sum.bytes.saturating_add(one.bytes),
            })
        };
        Ok(Reason::ALL.into_iter().enumerate().map(|(index, reason)| (reason, sum(index))).collect())
    }

    /// Events that the kernel did not deliver, ever: those that detectors should have seen, and those of a crowd, of which a sample is
    /// told.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the map cannot be read.
    pub fn undelivered_events(&self) -> Result<Undelivered, Error> {
        let mut sum = Undelivered::default();
        for [passing, urgent, crowd] in cpus(&self.ebpf)?.iter().map(|cpu| cpu.budgets) {
            sum.lost += passing.lost + urgent.lost;
            sum.untold += crowd.lost;
        }
        Ok(sum)
    }
}

/// Packets that user space did not hear of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Undelivered {
    /// No detector saw them.
    pub lost: u64,
    /// Dropped as banned, blocked or beyond a limit, and counted only.
    pub untold: u64,
}

/// Removes what the gate knows of interfaces that are not among these: they come and go, and the table is small.
fn forget_others(ebpf: &mut Ebpf, interfaces: &[Interface]) -> Result<(), Error> {
    let map = ebpf.map_mut(map::INTERFACES).ok_or_else(|| missing(map::INTERFACES))?;
    let mut map: HashMap<_, u32, layout::Interface> =
        HashMap::try_from(map).map_err(Error::kernel("the interfaces"))?;
    let known: Vec<u32> = map.keys().filter_map(Result::ok).collect();
    for index in known.into_iter().filter(|index| interfaces.iter().all(|one| one.index != *index)) {
        // It may still be judged until its link is taken off: as one whose name no rule has.
        let _ = map.remove(&index);
    }
    Ok(())
}

/// What each CPU keeps.
fn cpus(ebpf: &Ebpf) -> Result<Vec<Cpu>, Error> {
    let map = ebpf.map(map::CPU).ok_or_else(|| missing(map::CPU))?;
    let array: PerCpuArray<_, Cpu> = PerCpuArray::try_from(map).map_err(Error::kernel("the counters"))?;
    let values = array.get(&0, 0).map_err(Error::kernel("the counters"))?;
    Ok(values.iter().copied().collect())
}

/// A gate for tests and benchmarks: loaded, never attached, nothing pinned.
#[derive(Debug)]
pub struct TestGate {
    ebpf: Ebpf,
    raw_ip: bool,
}

impl TestGate {
    /// Loads the programs with `tables`; `interface` is what the test's frames arrive on (its index is 1).
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub fn load(tables: &GateTables, interface: layout::Interface) -> Result<Self, Error> {
        let mut ebpf = load_object(tables, None)?;
        fill::fill(&mut ebpf, tables)?;
        fill::interface(&mut ebpf, 1, interface)?;
        Sources::of(&mut ebpf)?.begin([1, 2], false)?;
        load_programs(&mut ebpf)?;
        Ok(Self { ebpf, raw_ip: interface.raw_ip != 0 })
    }

    /// How many instructions the verifier went through for each program of the object, by the program's name. Loads those
    /// that [`Self::load`] does not.
    ///
    /// # Errors
    ///
    /// What the kernel refused; or [`Error::Kernel`] if it is older than 5.16 and does not tell.
    pub fn verified(&mut self) -> Result<Vec<(String, u32)>, Error> {
        let mut all = Vec::new();
        for (name, program) in self.ebpf.programs_mut() {
            if let Program::SchedClassifier(tc) = program
                && tc.fd().is_err()
            {
                patiently(|| tc.load()).map_err(Error::kernel(name))?;
            }
            let info = program.info().map_err(Error::kernel(name))?;
            let count =
                info.verified_instruction_count().ok_or_else(|| missing("a count of instructions"))?;
            all.push((name.to_owned(), count));
        }
        all.sort();
        Ok(all)
    }

    /// Runs the XDP program on `frame` (`BPF_PROG_TEST_RUN`): its return value and the time of one run.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`]; the kernel refuses frames shorter than a link header.
    pub fn run_xdp(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, std::time::Duration), Error> {
        let program: &mut Xdp = program(&mut self.ebpf, xdp_name(self.raw_ip))?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(Error::kernel("a test run"))?;
        Ok((result.return_value, result.duration))
    }

    /// Runs the TC program on `frame`.
    ///
    /// # Errors
    ///
    /// As [`Self::run_xdp`].
    pub fn run_tc(&mut self, frame: &[u8], repeat: u32) -> Result<(u32, std::time::Duration), Error> {
        let program: &mut SchedClassifier = program(&mut self.ebpf, tc_name(self.raw_ip))?;
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = program.test_run(options).map_err(Error::kernel("a test run"))?;
        Ok((result.return_value, result.duration))
    }

    /// The XDP program, for whoever wants to call it from another one.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if no more files may be open.
    pub fn xdp_fd(&mut self) -> Result<ProgramFd, Error> {
        let program: &mut Xdp = program(&mut self.ebpf, xdp_name(self.raw_ip))?;
        let fd = program.fd().map_err(Error::kernel("the XDP program"))?;
        fd.try_clone().map_err(Error::kernel("the XDP program"))
    }

    /// Banned, limited and proven sources.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the object has no maps for them.
    pub fn sources(&mut self) -> Result<Sources<'_>, Error> {
        Sources::of(&mut self.ebpf)
    }

    /// The reason of the last verdict, from the counters' difference to `before`.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read.
    pub fn counts(&self) -> Result<[u64; REASONS], Error> {
        let mut all = [0; REASONS];
        for cpu in cpus(&self.ebpf)? {
            for (sum, count) in all.iter_mut().zip(cpu.counts) {
                *sum += count.packets;
            }
        }
        Ok(all)
    }

    /// The ring buffer of events; can be taken once.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the object has none.
    pub fn take_events(&mut self) -> Result<Events, Error> {
        let map = self.ebpf.take_map(map::EVENTS).ok_or_else(|| missing(map::EVENTS))?;
        RingBuf::try_from(map).map_err(Error::kernel("the ring buffer"))
    }
}

/// Takes the gate off every interface and removes what Ringfence pinned, nothing else. Works without a daemon.
///
/// # Errors
///
/// The first thing that could not be removed.
pub fn remove(pins: &Path) -> Result<Vec<PathBuf>, Error> {
    pins::remove(pins)
}

/// Whether a gate stands somewhere, kept alive by pins in this directory.
pub fn is_pinned(pins: &Path) -> bool {
    pins::any_link(pins)
}

fn load_object(tables: &GateTables, pins: Option<&Pins>) -> Result<Ebpf, Error> {
    let mut loader = EbpfLoader::new();
    let size = |count: usize| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    loader.map_max_entries(map::OUTPUTS, size(tables.outputs.len()));
    if tables.config.flags & layout::FOLLOWS == 0 {
        loader.map_max_entries(map::FLOWS, 1);
    }
    // Nobody may know where in the table of limits a source has its places.
    let config =
        Config { limits: Limits { key: crate::machine::random()?, ..tables.config.limits }, ..tables.config };
    loader.override_global(map::CONFIG, &config, true);
    if let Some(pins) = pins {
        for name in KEPT {
            loader.map_pin_path(name, pins.map(name));
        }
        // Where nothing is followed, the map is a stub, and not kept for a policy that needs it.
        if tables.config.flags & layout::FOLLOWS != 0 {
            loader.map_pin_path(map::FLOWS, pins.map(map::FLOWS));
        }
    }
    loader.load(OBJECT).map_err(Error::kernel("the gate's maps"))
}

fn load_programs(ebpf: &mut Ebpf) -> Result<(), Error> {
    for raw_ip in [false, true] {
        let xdp: &mut Xdp = program(ebpf, xdp_name(raw_ip))?;
        patiently(|| xdp.load()).map_err(Error::kernel("the XDP program"))?;
        let tc: &mut SchedClassifier = program(ebpf, tc_name(raw_ip))?;
        patiently(|| tc.load()).map_err(Error::kernel("the TC program"))?;
        let out: &mut SchedClassifier = program(ebpf, out_name(raw_ip))?;
        patiently(|| out.load()).map_err(Error::kernel("the egress program"))?;
    }
    let socket: &mut CgroupSkb = program(ebpf, SOCKET)?;
    patiently(|| socket.load()).map_err(Error::kernel("the cgroup program"))
}

/// The verifier gives up when a signal is pending (EAGAIN, `bpf_check` in kernel/bpf/verifier.c); the signal is taken in
/// meanwhile, so the next attempt has a chance.
fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    const ATTEMPTS: usize = 20;
    for _ in 1..ATTEMPTS {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    load()
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Error>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
    program.try_into().map_err(Error::kernel(format!("program {name}")))
}

fn missing(name: &str) -> Error {
    Error::Kernel { what: name.to_owned(), reason: "the object in this binary does not have it".to_owned() }
}
