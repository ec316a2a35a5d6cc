//! What is wrong or odd about a message, by name. Names, severities and sections are one table, from which the documentation
//! is written.

use std::fmt;

/// How bad an anomaly is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Lawful, or so widely done that nobody minds; told, as it helps to recognise tools.
    Odd,
    /// Against the grammar or a MUST of the RFC.
    Malformed,
    /// Shaped to break parsers: no implementation writes this by mistake.
    Hostile,
}

impl Severity {
    /// As documentation and logs call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Odd => "odd",
            Self::Malformed => "malformed",
            Self::Hostile => "hostile",
        }
    }
}

macro_rules! anomalies {
    ($($variant:ident $name:literal $severity:ident $section:literal $meaning:literal)*) => {
        /// One thing that is wrong or odd.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Anomaly {
            $(#[doc = $meaning] #[doc = concat!("(", $section, ")")] $variant,)*
        }

        impl Anomaly {
            /// All of them, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in logs, JSON and documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What is said about it where: a section of RFC 3261 unless another document is named.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)* }
            }

            /// In words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

anomalies! {
    AddrSpecNeedsBrackets "addr-spec-needs-brackets" Malformed "20.10" "a URI with `,`, `?` or `;` outside of `<>` that belongs to it"
    AddrSpecWithWhitespace "addr-spec-with-whitespace" Malformed "25.1" "blanks between `<` and `>`"
    AuthSchemeUnknown "auth-scheme-unknown" Odd "22" "credentials of a scheme other than Digest"
    BareCr "bare-cr" Malformed "7" "a carriage return that ends no line"
    BodyTooLong "body-too-long" Odd "20.14" "a body of more than 8,192 bytes"
    BodyWithoutContentType "body-without-content-type" Malformed "20.15" "a body whose type is not told"
    BranchEmpty "branch-empty" Malformed "8.1.1.7" "a Via branch that is the magic cookie and nothing else"
    BranchMissing "branch-missing" Odd "8.1.1.7" "a Via without branch, as before RFC 3261"
    BranchWithoutCookie "branch-without-cookie" Odd "8.1.1.7" "a Via branch that does not begin with `z9hG4bK`"
    CallIdEmpty "call-id-empty" Malformed "20.8" "an empty Call-ID"
    CallIdMissing "call-id-missing" Odd "8.1.1" "no Call-ID"
    CallIdRepeated "call-id-repeated" Odd "7.3.1" "a second Call-ID"
    CallIdTooLong "call-id-too-long" Odd "20.8" "a Call-ID of more than 256 bytes"
    ContactEmpty "contact-empty" Malformed "20.10" "an empty Contact"
    ContactMissing "contact-missing" Odd "8.1.1.8" "an INVITE without Contact"
    ContactTooLong "contact-too-long" Odd "20.10" "a Contact of more than 256 bytes"
    ContentLengthInvalid "content-length-invalid" Malformed "20.14" "a Content-Length that is no number"
    ContentLengthMissing "content-length-missing" Odd "18.3" "no Content-Length over a stream"
    ContentLengthNegative "content-length-negative" Malformed "20.14" "a Content-Length below zero"
    ContentLengthRepeated "content-length-repeated" Odd "7.3.1" "a second Content-Length"
    ContentLengthTooLarge "content-length-too-large" Malformed "18.3" "a Content-Length beyond the end of the datagram"
    ContentLengthTooSmall "content-length-too-small" Odd "18.3" "bytes behind the body"
    CseqInvalid "cseq-invalid" Malformed "20.16" "a CSeq that is not a number and a method"
    CseqMethodMismatch "cseq-method-mismatch" Malformed "8.1.1.5" "a CSeq method that is not the request's"
    CseqMethodTooLong "cseq-method-too-long" Odd "20.16" "a CSeq method of more than 20 bytes"
    CseqMissing "cseq-missing" Odd "8.1.1" "no CSeq"
    CseqNumberNegative "cseq-number-negative" Malformed "8.1.1.5" "a CSeq number below zero"
    CseqNumberTooLarge "cseq-number-too-large" Malformed "8.1.1.5" "a CSeq number of 2^31 or more"
    CseqRepeated "cseq-repeated" Odd "7.3.1" "a second CSeq"
    DateNotGmt "date-not-gmt" Malformed "20.17" "a Date in another zone than GMT"
    DigestInvalid "digest-invalid" Malformed "22.4" "Digest credentials without username, realm, nonce, uri or response"
    DigestParameterRepeated "digest-parameter-repeated" Malformed "RFC 7616 3.4" "a digest parameter that stands twice"
    DisplayNameNotQuoted "display-name-not-quoted" Malformed "25.1" "a display name with signs that need quotes"
    ExpiresInvalid "expires-invalid" Malformed "20.19" "an Expires that is no number"
    ExpiresTooLarge "expires-too-large" Malformed "20.19" "an Expires of 2^32 or more"
    ExtraneousSeparators "extraneous-separators" Malformed "RFC 4475 3.1.2.1" "`;` or `,` with nothing between"
    FoldWithoutHeader "fold-without-header" Malformed "7.3.1" "a continuation line with nothing to continue"
    FormatString "format-string" Hostile "26" "a row of printf conversions in a header"
    FromEmpty "from-empty" Malformed "20.20" "an empty From"
    FromMissing "from-missing" Odd "8.1.1" "no From"
    FromRepeated "from-repeated" Odd "7.3.1" "a second From"
    FromTooLong "from-too-long" Odd "20.20" "a From of more than 256 bytes"
    HeaderFlood "header-flood" Hostile "7.3" "one byte again and again, more than 400 times, in a header: a buffer to overflow"
    HeaderNameInvalid "header-name-invalid" Malformed "7.3.1" "a header name that is no token"
    HeaderWithoutColon "header-without-colon" Malformed "7.3.1" "a header line without a colon"
    HeadersMissing "headers-missing" Malformed "8.1.1" "neither From, To, Via nor Call-ID"
    HeadersTooLong "headers-too-long" Odd "7.3" "headers of more than 8,192 bytes"
    HeadersUnterminated "headers-unterminated" Malformed "7" "no empty line behind the headers"
    InvalidUtf8 "invalid-utf8" Odd "7.3.1" "bytes that are no UTF-8"
    JunkBeforeStartLine "junk-before-start-line" Malformed "7.5" "bytes before the start line"
    LineEndWithoutCr "line-end-without-cr" Odd "7" "a line that ends with a line feed only"
    MaxForwardsInvalid "max-forwards-invalid" Malformed "20.22" "a Max-Forwards that is no number"
    MaxForwardsMissing "max-forwards-missing" Odd "8.1.1" "a request without Max-Forwards"
    MaxForwardsRepeated "max-forwards-repeated" Odd "7.3.1" "a second Max-Forwards"
    MaxForwardsTooLarge "max-forwards-too-large" Malformed "20.22" "a Max-Forwards of more than 255"
    MethodInvalid "method-invalid" Malformed "7.1" "a method that is no token"
    MethodTooLong "method-too-long" Odd "7.1" "a method of more than 20 bytes"
    MethodUnknown "method-unknown" Odd "8.2.1" "a method that no RFC names"
    NulByte "nul-byte" Malformed "25.1" "a NUL in a header"
    ProxyRequireUnknown "proxy-require-unknown" Odd "20.29" "a Proxy-Require for an extension that is not registered"
    RequestLineExtraWhitespace "request-line-extra-whitespace" Malformed "7.1" "more than one blank between the parts of the request line"
    RequestLineIncomplete "request-line-incomplete" Malformed "7.1" "a request line without URI or version"
    RequestLineTrailingWhitespace "request-line-trailing-whitespace" Malformed "7.1" "blanks at the end of the request line"
    RequestUriEmpty "request-uri-empty" Malformed "7.1" "an empty Request-URI"
    RequestUriInBrackets "request-uri-in-brackets" Malformed "7.1" "a Request-URI in `<>`"
    RequestUriInvalid "request-uri-invalid" Malformed "19.1" "a Request-URI that is no URI"
    RequestUriTooLong "request-uri-too-long" Odd "7.1" "a Request-URI of more than 256 bytes"
    RequestUriWithHeaders "request-uri-with-headers" Malformed "19.1.1" "a Request-URI that brings headers"
    RequestUriWithWhitespace "request-uri-with-whitespace" Malformed "7.1" "blanks within the Request-URI"
    RetryAfterTooLarge "retry-after-too-large" Malformed "20.33" "a Retry-After of 2^32 or more"
    SdpInvalid "sdp-invalid" Odd "RFC 8866 5" "a session description with lines that are none"
    SdpMediaTooLong "sdp-media-too-long" Hostile "RFC 8866 5.14" "an SDP media line of more than 256 bytes without a blank: CVE-2022-27255"
    SeveralMessages "several-messages" Odd "18.3" "another message behind the body"
    StatusCodeInvalid "status-code-invalid" Malformed "7.2" "a status code that is not three digits from 100 to 699"
    TagRepeated "tag-repeated" Malformed "19.3" "two tags in a From or To"
    ToEmpty "to-empty" Malformed "20.39" "an empty To"
    ToMissing "to-missing" Odd "8.1.1" "no To"
    ToRepeated "to-repeated" Odd "7.3.1" "a second To (CVE-2018-14767)"
    ToTooLong "to-too-long" Odd "20.39" "a To of more than 256 bytes"
    TooManyHeaders "too-many-headers" Malformed "7.3" "more headers than are kept"
    UnterminatedBracket "unterminated-bracket" Malformed "25.1" "a `<` without `>`"
    UnterminatedQuote "unterminated-quote" Malformed "25.1" "a quoted string without its end"
    UriInvalid "uri-invalid" Malformed "19.1" "an address that is no URI"
    VersionUnknown "version-unknown" Malformed "7.1" "another version than SIP/2.0"
    ViaEmpty "via-empty" Malformed "20.42" "an empty Via"
    ViaInvalid "via-invalid" Malformed "20.42" "a Via that is no protocol and host"
    ViaMissing "via-missing" Odd "8.1.1" "no Via"
    ViaTooLong "via-too-long" Odd "20.42" "a Via of more than 1,024 bytes"
    WarnCodeInvalid "warn-code-invalid" Malformed "20.43" "a warn-code that is not three digits"
}

/// A set of anomalies.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Anomalies(u128);

const _: () = assert!(Anomaly::ALL.len() <= 128, "one bit each");

impl Anomalies {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Every malformed or hostile one.
    const BAD: Self = {
        let mut bits = 0;
        let mut rest = Anomaly::ALL;
        while let [first, others @ ..] = rest {
            if !matches!(first.severity(), Severity::Odd) {
                bits |= 1 << *first as u8;
            }
            rest = others;
        }
        Self(bits)
    };

    pub fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u8;
    }

    /// Adds `anomaly` if `holds`.
    pub(crate) fn note(&mut self, holds: bool, anomaly: Anomaly) {
        if holds {
            self.insert_rarely(anomaly);
        }
    }

    /// Out of the way of messages with nothing odd in them.
    #[cold]
    fn insert_rarely(&mut self, anomaly: Anomaly) {
        self.insert(anomaly);
    }

    #[must_use]
    pub const fn contains(self, anomaly: Anomaly) -> bool {
        self.0 >> anomaly as u8 & 1 == 1
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The worst severity in the set.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        if self.0 & Self::BAD.0 == 0 {
            return (!self.is_empty()).then_some(Severity::Odd);
        }
        self.iter().map(Anomaly::severity).max()
    }

    /// Whether anything in it is worse than odd.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        self.0 & Self::BAD.0 != 0
    }

    /// Those that are worse than odd.
    #[must_use]
    pub const fn malformed(self) -> Self {
        Self(self.0 & Self::BAD.0)
    }

    /// In alphabetical order.
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.iter().copied().filter(move |&anomaly| self.contains(anomaly))
    }
}

impl FromIterator<Anomaly> for Anomalies {
    fn from_iter<T: IntoIterator<Item = Anomaly>>(iter: T) -> Self {
        let mut set = Self::NONE;
        iter.into_iter().for_each(|anomaly| set.insert(anomaly));
        set
    }
}

impl fmt::Display for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, anomaly) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(anomaly.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_unique_and_sorted() {
        let names: Vec<&str> = Anomaly::ALL.iter().map(|anomaly| anomaly.as_str()).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        assert!(names.iter().all(|name| name.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric())));
    }

    #[test]
    fn a_set_tells_its_worst() {
        let odd: Anomalies = [Anomaly::MethodUnknown].into_iter().collect();
        assert_eq!(odd.severity(), Some(Severity::Odd));
        assert!(!odd.is_malformed());
        let both = odd.union([Anomaly::FormatString].into_iter().collect());
        assert_eq!(both.severity(), Some(Severity::Hostile));
        assert_eq!(both.to_string(), "format-string, method-unknown");
        assert_eq!(Anomalies::NONE.severity(), None);
    }
}
