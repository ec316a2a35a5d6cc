//! `ringfence completions` and `ringfence man`: from the definitions that the command line is read with.

use std::fs;
use std::io;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Args, CompletionsArgs, ManArgs};
use crate::exit::Exit;

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Exit> {
    let mut command = Args::command();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ringfence", &mut text);
    io::Write::write_all(&mut io::stdout(), &text)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `ringfence.1`, and one page per command.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, Exit> {
    let mut command = Args::command();
    command.build();
    let mut pages = vec![("ringfence".to_owned(), command.clone())];
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        pages.push((format!("ringfence-{}", sub.get_name()), sub.clone()));
    }
    for (name, command) in pages {
        let path = args.folder.join(format!("{name}.1"));
        let mut page = Vec::new();
        let title = name.clone();
        clap_mangen::Man::new(command.display_name(name)).title(title).render(&mut page)?;
        fs::write(&path, page).map_err(Exit::io("write", &path))?;
    }
    Ok(ExitCode::SUCCESS)
}
