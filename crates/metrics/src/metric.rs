//! What a metric is: its name and words, its labels, and where its values stand in the status.

use gate::Reason;

/// A metric, with all that is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// Of the values, in words.
    pub unit: &'static str,
    /// One line.
    pub help: &'static str,
    pub labels: &'static [Label],
    /// Where in the status it stands.
    pub from: Place,
}

/// How values change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows, and begins anew with the daemon (or with the policy, where its help says so).
    Counter,
    Gauge,
}

/// A label, and what it may be.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

/// What a label may be.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// The registry of detectors (`docs/detectors.md`).
    Detectors,
    /// The gate's reasons.
    Reasons,
    /// The gate's verdicts.
    Verdicts,
    /// One of these.
    Words(&'static [&'static str]),
    /// Whatever the machine, the policy or the operator calls it: this.
    Names(&'static str),
}

/// Where in the status a metric comes from. Places are JSON pointers (RFC 6901).
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// One value.
    One(&'static str, Read),
    /// Of each member of an object, whose name is the label, what stands at a place in it (`""`: itself).
    Members(&'static str, &'static str, Read),
    /// Of each member of an object, several fields; labels are the member's name and the field's.
    MemberFields(&'static str, &'static [&'static str]),
    /// Of each object in a list, what stands at a place in it; labels are read at other places in it.
    Rows(&'static str, &'static [&'static str], &'static str, Read),
    /// Of each object in a list, several fields; labels are read at a place in it, and the field's name.
    RowFields(&'static str, &'static str, &'static [&'static str]),
    /// Several fields of an object, whose names are the label.
    Fields(&'static str, &'static [&'static str]),
    /// Bans by reason: what detectors and jails say is kept apart, the words of operators and lists are one.
    BanReasons(&'static str),
    /// Packets by the gate's reason, with the verdict that belongs to it.
    GateReasons(&'static str),
    /// The program itself: its version.
    Version,
}

/// How a value becomes a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Read {
    Number,
    /// 1 if it is `true`, or any text; 0 if not, or nothing.
    Flag,
    /// 1 if it is this text, else 0.
    Is(&'static str),
    /// How many elements a list has.
    Length,
    /// Elements of a list of objects in which this field is not `true`.
    Without(&'static str),
    /// A time in RFC 3339, as seconds since 1970.
    Time,
    /// Always 1: its labels say it.
    Labels,
}

impl Values {
    /// The only values there are; `None` for names.
    #[must_use]
    pub fn known(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Detectors => Some(engine::Kind::ALL.iter().map(|kind| kind.as_str()).collect()),
            Self::Reasons => Some(Reason::ALL.iter().map(|reason| reason.as_str()).collect()),
            Self::Verdicts => Some(vec!["pass", "drop"]),
            Self::Words(words) => Some(words.to_vec()),
            Self::Names(_) => None,
        }
    }
}
