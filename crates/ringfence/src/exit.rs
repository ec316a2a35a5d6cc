//! Exit statuses, a contract with scripts: 0 done; 1 the answer is no; 2 wrong usage; 3 the system cannot.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use policy::diagnostic::{Diagnostic, Style};

/// Why a command ended without having done what was asked.
#[derive(Debug)]
pub(crate) enum Exit {
    /// The policy is wrong; every mistake.
    Policy(Vec<Diagnostic>),
    /// The answer is no, or the request makes no sense.
    No(String),
    /// The system cannot.
    System(String),
    /// Whoever read our output has gone; nothing is left to say.
    Silent,
}

impl Exit {
    /// Says it on stderr and gives the status.
    pub(crate) fn tell(self) -> ExitCode {
        let mut err = io::stderr().lock();
        let (status, text) = match self {
            Self::Policy(mistakes) => (1, draw(&mistakes)),
            Self::No(text) => (1, format!("error: {text}\n")),
            Self::System(text) => (3, format!("error: {text}\n")),
            Self::Silent => (0, String::new()),
        };
        // If stderr is closed there is nobody to tell.
        let _ = err.write_all(text.as_bytes());
        ExitCode::from(status)
    }

    /// What it says, on one line.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Policy(mistakes) => mistakes.first().map(ToString::to_string).unwrap_or_default(),
            Self::No(text) | Self::System(text) => text.clone(),
            Self::Silent => String::new(),
        }
    }

    /// For `map_err`: `operation` on `path` failed.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System(format!("cannot {operation} {}: {error}", path.display()))
    }
}

impl From<host::Error> for Exit {
    fn from(error: host::Error) -> Self {
        Self::System(host::error::chain(&error))
    }
}

impl From<io::Error> for Exit {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Silent } else { Self::System(error.to_string()) }
    }
}

/// All mistakes as text: with colours and lines on a terminal, plain elsewhere.
pub(crate) fn draw(mistakes: &[Diagnostic]) -> String {
    let style = if io::stderr().is_terminal() { Style::Terminal } else { Style::Plain };
    mistakes.iter().map(|mistake| mistake.render(style)).collect::<Vec<_>>().join("\n")
}
