//! Header names, long and compact (RFC 3261 sections 7.3.3 and 20; the IANA registry for the rest).

macro_rules! headers {
    ($($variant:ident $name:literal $compact:literal)*) => {
        /// A header that this crate knows by name.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other; its name stands in the message.
            Other,
        }

        impl HeaderName {
            /// How many there are.
            pub const COUNT: usize = Self::Other as usize + 1;

            /// All but [`HeaderName::Other`].
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            /// The long form, as RFCs spell it; empty for [`HeaderName::Other`].
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Other => "" }
            }

            /// The one-letter form; `None` if there is none.
            #[must_use]
            pub fn compact(self) -> Option<u8> {
                let compact: &str = match self { $(Self::$variant => $compact,)* Self::Other => "" };
                compact.bytes().next()
            }

            /// The header of that name as RFCs spell it.
            #[expect(non_upper_case_globals, reason = "each has the name of its variant")]
            fn from_exact(name: &[u8]) -> Option<Self> {
                // One comparison of two words for each candidate of that length.
                $(const $variant: &[u8] = $name.as_bytes();)*
                match name {
                    $($variant => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

headers! {
    Accept "Accept" ""
    AcceptContact "Accept-Contact" "a"
    Allow "Allow" ""
    AllowEvents "Allow-Events" "u"
    Authorization "Authorization" ""
    CallId "Call-ID" "i"
    Contact "Contact" "m"
    ContentEncoding "Content-Encoding" "e"
    ContentLength "Content-Length" "l"
    ContentType "Content-Type" "c"
    Cseq "CSeq" ""
    Date "Date" ""
    Diversion "Diversion" ""
    Event "Event" "o"
    Expires "Expires" ""
    From "From" "f"
    Identity "Identity" "y"
    MaxForwards "Max-Forwards" ""
    MinExpires "Min-Expires" ""
    PAssertedIdentity "P-Asserted-Identity" ""
    PPreferredIdentity "P-Preferred-Identity" ""
    ProxyAuthenticate "Proxy-Authenticate" ""
    ProxyAuthorization "Proxy-Authorization" ""
    ProxyRequire "Proxy-Require" ""
    RecordRoute "Record-Route" ""
    ReferTo "Refer-To" "r"
    ReferredBy "Referred-By" "b"
    RejectContact "Reject-Contact" "j"
    RemotePartyId "Remote-Party-ID" ""
    RequestDisposition "Request-Disposition" "d"
    Require "Require" ""
    RetryAfter "Retry-After" ""
    Route "Route" ""
    Server "Server" ""
    SessionExpires "Session-Expires" "x"
    Subject "Subject" "s"
    Supported "Supported" "k"
    To "To" "t"
    Unsupported "Unsupported" ""
    UserAgent "User-Agent" ""
    Via "Via" "v"
    Warning "Warning" ""
    WwwAuthenticate "WWW-Authenticate" ""
}

impl HeaderName {
    /// The header of that name, in any case, long or compact; [`HeaderName::Other`] for every other name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        if let &[letter] = name {
            return Self::from_compact(letter.to_ascii_lowercase());
        }
        // Most write a name as the RFC does.
        Self::from_exact(name).unwrap_or_else(|| Self::from_any_case(name))
    }

    fn from_any_case(name: &[u8]) -> Self {
        let Some(first) = name.first().map(u8::to_ascii_lowercase) else { return Self::Other };
        // Length and first letter leave one or two candidates.
        let candidates: &[Self] = match (name.len(), first) {
            (2, b't') => &[Self::To],
            (3, b'v') => &[Self::Via],
            (4, b'c') => &[Self::Cseq],
            (4, b'd') => &[Self::Date],
            (4, b'f') => &[Self::From],
            (5, b'a') => &[Self::Allow],
            (5, b'e') => &[Self::Event],
            (5, b'r') => &[Self::Route],
            (6, b'a') => &[Self::Accept],
            (6, b's') => &[Self::Server],
            (7, b'c') => &[Self::CallId, Self::Contact],
            (7, b'e') => &[Self::Expires],
            (7, b'r') => &[Self::Require],
            (7, b's') => &[Self::Subject],
            (7, b'w') => &[Self::Warning],
            (8, b'i') => &[Self::Identity],
            (8, b'r') => &[Self::ReferTo],
            (9, b'd') => &[Self::Diversion],
            (9, b's') => &[Self::Supported],
            (10, b'u') => &[Self::UserAgent],
            (11, b'm') => &[Self::MinExpires],
            (11, b'r') => &[Self::ReferredBy, Self::RetryAfter],
            (11, b'u') => &[Self::Unsupported],
            (12, b'a') => &[Self::AllowEvents],
            (12, b'c') => &[Self::ContentType],
            (12, b'm') => &[Self::MaxForwards],
            (12, b'r') => &[Self::RecordRoute],
            (13, b'a') => &[Self::Authorization],
            (13, b'p') => &[Self::ProxyRequire],
            (14, b'a') => &[Self::AcceptContact],
            (14, b'c') => &[Self::ContentLength],
            (14, b'r') => &[Self::RejectContact],
            (15, b'r') => &[Self::RemotePartyId],
            (15, b's') => &[Self::SessionExpires],
            (16, b'c') => &[Self::ContentEncoding],
            (16, b'w') => &[Self::WwwAuthenticate],
            (18, b'p') => &[Self::ProxyAuthenticate],
            (19, b'p') => &[Self::PAssertedIdentity, Self::ProxyAuthorization],
            (19, b'r') => &[Self::RequestDisposition],
            (20, b'p') => &[Self::PPreferredIdentity],
            _ => &[],
        };
        let same = |candidate: &&Self| candidate.as_str().as_bytes().eq_ignore_ascii_case(name);
        candidates.iter().find(same).copied().unwrap_or(Self::Other)
    }

    fn from_compact(letter: u8) -> Self {
        match letter {
            b'a' => Self::AcceptContact,
            b'b' => Self::ReferredBy,
            b'c' => Self::ContentType,
            b'd' => Self::RequestDisposition,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'j' => Self::RejectContact,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'o' => Self::Event,
            b'r' => Self::ReferTo,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            b'y' => Self::Identity,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_every_case_and_form() {
        for &name in HeaderName::KNOWN {
            let long = name.as_str();
            assert_eq!(HeaderName::from_name(long.as_bytes()), name);
            assert_eq!(HeaderName::from_name(long.to_uppercase().as_bytes()), name);
            assert_eq!(HeaderName::from_name(long.to_lowercase().as_bytes()), name);
            if let Some(compact) = name.compact() {
                assert_eq!(HeaderName::from_name(&[compact]), name);
                assert_eq!(HeaderName::from_name(&[compact.to_ascii_uppercase()]), name);
            }
        }
    }

    #[test]
    fn others_are_others() {
        for name in ["", "z", "Tos", "Viaa", "Call-IDs", "X-Header"] {
            assert_eq!(HeaderName::from_name(name.as_bytes()), HeaderName::Other, "{name}");
        }
    }
}
