//! What is on a page: text, what is to be done unseen, and blocks with commands and what they say.

/// Who does what the page does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A shell on the PBX's host; it has to succeed.
    Run,
    /// The same, over and over until it succeeds.
    Wait,
    /// The same, left running.
    Background,
    /// A shell on the attacker's host, whatever its status.
    Attacker,
    /// A phone: `register`, `call`, or `guess`, which is on the attacker's host and tries passwords until it is heard no more.
    Phone,
}

/// A command and what is shown of its output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) command: String,
    /// `…` alone stands for any number of lines, in a line for any part of it, `^C` for the key.
    pub(crate) shown: Vec<String>,
    pub(crate) status: i32,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `<!-- asterisk -->`: the page's host runs one, with its files in `/etc/asterisk`.
    Asterisk,
    Console(Vec<Exchange>),
    /// The block after `<!-- file: /path -->`.
    File {
        path: String,
        text: String,
    },
    /// `<!-- who: command -->`
    Hidden {
        who: Who,
        command: String,
    },
    Text(String),
}

pub(crate) struct Page {
    pub(crate) parts: Vec<Part>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut file: Option<String> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
                match comment.split_once(": ").map_or((comment, ""), |(key, value)| (key, value)) {
                    ("asterisk", "") => parts.push(Part::Asterisk),
                    ("file", path) => {
                        parts.push(Part::Text(line.to_owned()));
                        file = Some(path.to_owned());
                    }
                    (who, command) => {
                        parts.push(Part::Hidden { who: Who::named(who), command: command.to_owned() });
                    }
                }
                continue;
            }
            let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else {
                parts.push(Part::Text(line.to_owned()));
                continue;
            };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if kind == "console" {
                parts.push(Part::Console(exchanges(&block)));
                continue;
            }
            parts.push(Part::Text([&[line], block.as_slice(), &["```"]].concat().join("\n")));
            if let Some(path) = file.take() {
                parts.push(Part::File { path, text: format!("{}\n", block.join("\n")) });
            }
        }
        Self { parts }
    }

    /// The page as a file.
    pub(crate) fn write(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        for part in &self.parts {
            match part {
                Part::Asterisk => line("<!-- asterisk -->"),
                Part::File { .. } => (),
                Part::Hidden { who, command } => line(&format!("<!-- {}: {command} -->", who.name())),
                Part::Text(text) => line(text),
                Part::Console(exchanges) => {
                    line("```console");
                    for exchange in exchanges {
                        line(&format!("$ {}", exchange.command));
                        exchange.shown.iter().for_each(|shown| line(shown));
                        if exchange.status != 0 {
                            line(&format!("# status {}", exchange.status));
                        }
                    }
                    line("```");
                }
            }
        }
        text
    }
}

impl Who {
    const ALL: [Self; 5] = [Self::Run, Self::Wait, Self::Background, Self::Attacker, Self::Phone];

    fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|who| who.name() == name);
        found.unwrap_or_else(|| panic!("no such thing in a guide's comment: {name}"))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Wait => "wait",
            Self::Background => "background",
            Self::Attacker => "attacker",
            Self::Phone => "phone",
        }
    }
}

fn exchanges(block: &[&str]) -> Vec<Exchange> {
    let mut found: Vec<Exchange> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push(Exchange { command: command.to_owned(), shown: Vec::new(), status: 0 });
            continue;
        }
        let last = found.last_mut().expect("a console block begins with a command");
        match line.strip_prefix("# status ") {
            Some(status) => last.status = status.parse().unwrap(),
            None => last.shown.push((*line).to_owned()),
        }
    }
    found
}

#[test]
fn a_page_is_read_and_written() {
    let text = "# A\n<!-- run: true -->\n<!-- asterisk -->\n```console\n$ false\nno\n…\n# status 1\n```\n\
                <!-- file: /etc/x -->\n```toml\na = 1\n```\nb\n";
    let page = Page::read(text);
    assert_eq!(page.write(), text);
    let shown = vec!["no".to_owned(), "…".to_owned()];
    assert!(page.parts.contains(&Part::Console(vec![Exchange {
        command: "false".to_owned(),
        shown,
        status: 1
    }])));
    assert!(page.parts.contains(&Part::File { path: "/etc/x".to_owned(), text: "a = 1\n".to_owned() }));
}
