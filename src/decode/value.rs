//! One JSON value, read without judging its type.
//!
//! In: whatever stands at a field. Out: a scalar, or that it was something else. Holds: text is
//! borrowed unless it has escapes; missing and null are told apart; no whole number that fits 64 bits
//! loses a digit. Knows nothing of: which field it is.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON scalar, or what stands in for others.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Value<'a> {
    /// The record hasn't the field.
    #[default]
    Missing,
    /// null.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// A whole number above those.
    Whole(u64),
    /// Another number: its digits aren't all here.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// An array.
    Array { empty: bool },
    /// An object.
    Object { empty: bool },
}

/// What stands where a number belongs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Numeric {
    /// Nothing.
    Missing,
    /// Null, empty, NaN or infinite.
    Null,
    /// A finite number.
    Is(f64),
    /// No number.
    Broken,
}

impl Numeric {
    pub(super) const fn finite(self) -> Option<f64> {
        match self {
            Self::Is(number) => Some(number),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    /// Missing or null.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    pub(super) const fn is_nested(&self) -> bool {
        matches!(self, Self::Array { .. } | Self::Object { .. })
    }

    /// Says nothing: missing, null, false, zero, an empty text, array or object.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Array { empty } | Self::Object { empty } => *empty,
            Self::Text(text) => text.is_empty(),
            Self::Float(number) => number.abs() <= 0.0,
            _ => matches!(self, Self::Missing | Self::Null | Self::Bool(false) | Self::Int(0)),
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number that stands here, as a number or as text.
    #[expect(clippy::cast_precision_loss, reason = "only used for ranges and predictions")]
    pub(super) fn numeric(&self) -> Numeric {
        let number = match self {
            Self::Missing => return Numeric::Missing,
            Self::Null => return Numeric::Null,
            Self::Int(n) => *n as f64,
            Self::Whole(n) => *n as f64,
            Self::Float(n) => *n,
            Self::Text(text) => return quoted(text),
            Self::Bool(_) | Self::Array { .. } | Self::Object { .. } => return Numeric::Broken,
        };
        if number.is_finite() { Numeric::Is(number) } else { Numeric::Null }
    }

    /// Canonical text of a scalar: whole numbers and booleans as JSON writes them. Other numbers have
    /// none until `raw` has read them again.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(true) => Some(Cow::Borrowed("true")),
            Self::Bool(false) => Some(Cow::Borrowed("false")),
            Self::Int(n) => Some(Cow::Owned(n.to_string())),
            Self::Whole(n) => Some(Cow::Owned(n.to_string())),
            _ => None,
        }
    }
}

/// A number in quotes, as writers that keep all digits, or have no word for NaN, put it.
fn quoted(text: &str) -> Numeric {
    if text.is_empty() {
        return Numeric::Null;
    }
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if text.bytes().all(plain) {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Numeric::Is(number),
            Ok(_) => Numeric::Null,
            Err(_) => Numeric::Broken,
        };
    }
    let word = text.strip_prefix(['-', '+']).unwrap_or(text);
    let known = ["nan", "inf", "infinity"];
    if known.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        Numeric::Null
    } else {
        Numeric::Broken
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Whole(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n:?}"),
            Self::Text(text) if 64 < text.chars().count() => {
                write!(f, "{:?}…", text.chars().take(64).collect::<String>())
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array { .. } => f.write_str("an array"),
            Self::Object { .. } => f.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Whole(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let mut empty = true;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            empty = false;
        }
        Ok(Value::Array { empty })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut empty = true;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            empty = false;
        }
        Ok(Value::Object { empty })
    }
}
