//! Decimal numbers of header fields.

/// What a text that should be a number is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Number {
    Value(u64),
    /// Digits, of more than a `u64`.
    Huge,
    /// A minus sign and digits.
    Negative,
    Invalid,
}

impl Number {
    /// Reads all of `text`.
    pub(crate) fn read(text: &[u8]) -> Self {
        match text {
            [] => Self::Invalid,
            [b'-', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                Self::Negative
            }
            digits => {
                let mut value: Option<u64> = Some(0);
                for byte in digits {
                    if !byte.is_ascii_digit() {
                        return Self::Invalid;
                    }
                    value = value
                        .and_then(|value| value.checked_mul(10))
                        .and_then(|value| value.checked_add(u64::from(byte - b'0')));
                }
                value.map_or(Self::Huge, Self::Value)
            }
        }
    }

    /// The value, if it is at most `max`.
    pub(crate) fn up_to(self, max: u64) -> Option<u64> {
        match self {
            Self::Value(value) if value <= max => Some(value),
            Self::Value(_) | Self::Huge | Self::Negative | Self::Invalid => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(Number::read(b"0068"), Number::Value(68));
        assert_eq!(Number::read(b"18446744073709551615"), Number::Value(u64::MAX));
        assert_eq!(Number::read(b"18446744073709551616"), Number::Huge);
        assert_eq!(Number::read(b"-1"), Number::Negative);
        assert_eq!(Number::read(b"1 2"), Number::Invalid);
        assert_eq!(Number::read(b""), Number::Invalid);
    }
}
