//! `ringfence top`: what happens now, on a terminal.

/// What is drawn.
mod screen;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::Value;

use self::screen::Screen;
use crate::cli::TopArgs;
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::Request;

/// Shows the daemon's state again and again until `q` or Ctrl-C.
pub(crate) fn run(args: &TopArgs) -> Result<ExitCode, Exit> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Exit::No(
            "top needs a terminal; `ringfence status --format json` prints the same once".to_owned(),
        ));
    }
    // A daemon that is not there is told before the screen is taken.
    let mut screen = Screen::new(look(args)?);
    let mut terminal = ratatui::try_init().map_err(Exit::from)?;
    let done = watch(args, &mut terminal, &mut screen);
    ratatui::restore();
    done.map(|()| ExitCode::SUCCESS)
}

fn watch(args: &TopArgs, terminal: &mut ratatui::DefaultTerminal, screen: &mut Screen) -> Result<(), Exit> {
    let period = Duration::from_secs(args.every);
    let mut next = Instant::now() + period;
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        let patience = next.saturating_duration_since(Instant::now());
        if event::poll(patience)? && is_end(&event::read()?) {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + period;
            match look(args) {
                Ok(status) => screen.follow(status),
                Err(Exit::System(text) | Exit::No(text)) => screen.lost(text),
                Err(other @ (Exit::Policy(_) | Exit::Silent)) => return Err(other),
            }
        }
    }
}

fn look(args: &TopArgs) -> Result<Value, Exit> {
    control::accepted(control::ask(&args.daemon.run_dir, &Request::Top {})?)
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    key.kind == KeyEventKind::Press
        && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
            || key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
}
