//! Header names, long and compact (RFC 3261 sections 7.3.3 and 20; the IANA registry for the rest).

use crate::names::Names;

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
                self.compact_str().bytes().next()
            }

            const fn compact_str(self) -> &'static str {
                match self { $(Self::$variant => $compact,)* Self::Other => "" }
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

/// Long and compact forms.
static NAMES: Names<{ HeaderName::KNOWN.len() + COMPACT }> = Names::new(names());

/// How many have a compact form.
const COMPACT: usize = {
    let (mut count, mut rest) = (0, HeaderName::KNOWN);
    while let [name, others @ ..] = rest {
        count += name.compact_str().len();
        rest = others;
    }
    count
};

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn names() -> [(&'static str, u8); HeaderName::KNOWN.len() + COMPACT] {
    let mut names = [("", 0); HeaderName::KNOWN.len() + COMPACT];
    let (mut count, mut rest) = (0, HeaderName::KNOWN);
    while let [name, others @ ..] = rest {
        names[count] = (name.as_str(), *name as u8);
        count += 1;
        if !name.compact_str().is_empty() {
            names[count] = (name.compact_str(), *name as u8);
            count += 1;
        }
        rest = others;
    }
    names
}

impl HeaderName {
    /// The header of that name, in any case, long or compact; [`HeaderName::Other`] for every other name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        Self::at_start(name, name.len())
    }

    /// The header whose name the first `len` bytes of `text` are.
    #[inline]
    pub(crate) fn at_start(text: &[u8], len: usize) -> Self {
        let number = NAMES.find(text, len);
        number.and_then(|number| Self::KNOWN.get(usize::from(number))).copied().unwrap_or(Self::Other)
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
