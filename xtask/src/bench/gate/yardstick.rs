use anyhow::{Context as _, Result};
use aya::maps::{Array, ProgramArray};
use aya::programs::{ProgramFd, TestRunOptions, Xdp};
use aya::{Ebpf, TestRun as _};
use host::gate::TestGate;

use crate::workspace;

/// The programs of `bpf/bench.bpf.o`.
pub(super) struct Yardstick {
    ebpf: Ebpf,
    empty: ProgramFd,
}

impl Yardstick {
    /// Loads them; packets are to have one of `sources` sources.
    pub(super) fn load(sources: u32) -> Result<Self> {
        let path = workspace().join("bpf/bench.bpf.o");
        let mut ebpf = Ebpf::load_file(&path).with_context(|| format!("cannot load `{}`", path.display()))?;
        for name in ["empty", "scatter", "touch"] {
            program(&mut ebpf, name)?.load()?;
        }
        let mut map: Array<_, u32> = Array::try_from(ebpf.map_mut("SOURCES").context("no map")?)?;
        map.set(0, sources, 0)?;
        let empty = program(&mut ebpf, "empty")?.fd()?.try_clone()?;
        Ok(Self { ebpf, empty })
    }

    /// Nanoseconds of the empty program.
    pub(super) fn empty(&mut self, frame: &[u8], repeat: u32) -> Result<f64> {
        run(program(&mut self.ebpf, "empty")?, frame, repeat)
    }

    /// The same behind the one that changes sources.
    pub(super) fn scattered_empty(&mut self, frame: &[u8], repeat: u32) -> Result<f64> {
        let empty = self.empty.try_clone()?;
        self.into(&empty, frame, repeat)
    }

    /// One cache line of a large table, behind the same.
    pub(super) fn scattered_touch(&mut self, frame: &[u8], repeat: u32) -> Result<f64> {
        let touch = program(&mut self.ebpf, "touch")?.fd()?.try_clone()?;
        self.into(&touch, frame, repeat)
    }

    /// The gate behind the one that changes sources.
    pub(super) fn scattered(&mut self, gate: &mut TestGate, frame: &[u8], repeat: u32) -> Result<f64> {
        let target = gate.xdp_fd()?;
        self.into(&target, frame, repeat)
    }

    fn into(&mut self, target: &ProgramFd, frame: &[u8], repeat: u32) -> Result<f64> {
        let mut slots: ProgramArray<_> =
            ProgramArray::try_from(self.ebpf.map_mut("TARGET").context("no map")?)?;
        slots.set(0, target, 0)?;
        run(program(&mut self.ebpf, "scatter")?, frame, repeat)
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("no program `{name}`"))?.try_into()?)
}

fn run(program: &Xdp, frame: &[u8], repeat: u32) -> Result<f64> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    Ok(program.test_run(options)?.duration.as_nanos() as f64)
}
