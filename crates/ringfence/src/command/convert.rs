//! `ringfence convert FILE`

/// Jails of fail2ban.
mod jails;

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use policy::diagnostic::Source;
use policy::{Language, convert, iptables};

use crate::cli::ConvertArgs;
use crate::exit::{Exit, draw};

/// Writes the TOML policy that says the same as a rule file to stdout, and what it says differently to stderr.
pub(crate) fn run(args: &ConvertArgs) -> Result<ExitCode, Exit> {
    let path = &args.file;
    // Rule files have no fixed name; fail2ban's have.
    if path.extension().is_some_and(|extension| extension == "conf" || extension == "local") {
        return jails::run(path);
    }
    let bytes =
        fs::read(path).map_err(|error| Exit::No(format!("cannot read {}: {error}", path.display())))?;
    let source = Source::from_bytes(&path.display().to_string(), bytes)
        .map_err(|mistake| Exit::Policy(vec![mistake]))?;
    if Language::of(source.text()) != Language::Iptables {
        return Err(Exit::No(format!(
            "{} is not what iptables-save writes; there is nothing to convert",
            path.display()
        )));
    }
    let file = iptables::parse_source(Arc::clone(&source)).map_err(Exit::Policy)?;
    write!(io::stderr(), "{}", draw(&file.warnings))?;
    let converted = convert::convert(&file);
    for difference in &converted.differences {
        writeln!(io::stderr(), "differs: {}: {difference}", path.display())?;
    }
    write!(io::stdout(), "{}", converted.toml)?;
    Ok(ExitCode::SUCCESS)
}
