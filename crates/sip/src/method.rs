//! Request methods (RFC 3261 section 7.1 and the RFCs that added some).

/// A method by its name, which is case-sensitive.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Method {
    Ack,
    Bye,
    Cancel,
    Info,
    Invite,
    Message,
    Notify,
    Options,
    /// None that an RFC names; what it is called stands in the start line.
    Other,
    Prack,
    Publish,
    Refer,
    Register,
    Subscribe,
    Update,
}

impl Method {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// The method of that name; [`Method::Other`] for every other name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"INFO" => Self::Info,
            b"INVITE" => Self::Invite,
            b"MESSAGE" => Self::Message,
            b"NOTIFY" => Self::Notify,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"PUBLISH" => Self::Publish,
            b"REFER" => Self::Refer,
            b"REGISTER" => Self::Register,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UPDATE" => Self::Update,
            _ => Self::Other,
        }
    }

    /// Its name on the wire; `other` for [`Method::Other`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Other => "other",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_sensitive() {
        assert_eq!(Method::from_name(b"INVITE"), Method::Invite);
        assert_eq!(Method::from_name(b"invite"), Method::Other);
        assert_eq!(Method::from_name(b""), Method::Other);
    }
}
