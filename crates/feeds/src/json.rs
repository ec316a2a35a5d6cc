//! APIBAN's JSON: `{"ipaddress":["203.0.113.9"],"ID":"1700000000"}`. The ID is where the next page begins, `none` at the end.
//!
//! Elements go to the taker one by one, so that memory does not grow with what a server sends.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{MAX_NEXT, Taker};

pub(crate) fn read(bytes: &[u8], taker: &mut Taker) {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = deserializer.deserialize_map(Object(taker)).and_then(|()| deserializer.end());
    if let Err(error) = read {
        // A page that ends in the middle has no next one.
        taker.list.next = None;
        taker.wrong(error.line() as u64, format!("no JSON of APIBAN: {error}").as_bytes());
    }
}

struct Object<'t>(&'t mut Taker);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `ipaddress`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = None;
        let mut count = 0;
        while let Some(key) = map.next_key_seed(Text)? {
            match key.as_deref() {
                Some("ipaddress") => map.next_value_seed(Addresses(&mut *self.0, &mut count))?,
                Some("ID") => next = map.next_value_seed(Text)?,
                Some(_) | None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let is_place = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.0.list.next = next.filter(|id| id != "none").filter(is_place);
        Ok(())
    }
}

/// The elements of a list; `count` is how many came before.
struct Addresses<'t>(&'t mut Taker, &'t mut u64);

impl<'de> DeserializeSeed<'de> for Addresses<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Addresses<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        loop {
            *self.1 += 1;
            if all.next_element_seed(Address(&mut *self.0, *self.1))?.is_none() {
                return Ok(());
            }
        }
    }
}

struct Address<'t>(&'t mut Taker, u64);

impl<'de> DeserializeSeed<'de> for Address<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Address<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address as a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.take(self.1, text.trim().as_bytes());
        Ok(())
    }
}

/// A short text; `None` for a longer one.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok((text.len() <= MAX_NEXT).then(|| text.to_owned()))
    }
}
