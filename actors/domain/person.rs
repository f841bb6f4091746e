//! A person that somebody spoke of: what is known of them beside their faces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::face::FaceId;

/// The record of a person. It stays when groups are computed anew, and when photos go and come.
///
/// A person has the id of the group it was made from: an id that was handed out stays valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// The name; at most 200 characters on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The face that somebody chose to show the person by; the best face where nobody chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover: Option<FaceId>,
    /// Whether the person is left out of lists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
    /// The date of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub born: Option<BirthDate>,
    /// What somebody noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When the record was made, in milliseconds since 1970 (UTC).
    pub made_ms: u64,
    /// The name of whoever made it: of a user of the system, or of a key of the API.
    pub made_by: String,
}

/// A date of birth, of which the day, or day and month, may be unknown: `1984`, `1984-05` or `1984-05-17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BirthDate {
    year: u16,
    month: Option<u8>,
    day: Option<u8>,
}

/// A text is not a date of birth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date of birth is written 1984, 1984-05 or 1984-05-17")]
pub struct BirthDateError;

impl FromStr for BirthDate {
    type Err = BirthDateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| match parts.next() {
            None => Ok(None),
            Some(part) if part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()) => {
                part.parse::<u16>().map(Some).map_err(|_| BirthDateError)
            }
            Some(_) => Err(BirthDateError),
        };
        let (year, month, day) = (number(4)?.ok_or(BirthDateError)?, number(2)?, number(2)?);
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            Some(2) => 28 + u16::from(is_leap),
            Some(4 | 6 | 9 | 11) => 30,
            None | Some(1..=12) => 31,
            Some(_) => return Err(BirthDateError),
        };
        if parts.next().is_some() || year == 0 || day.is_some_and(|day| !(1..=days).contains(&day)) {
            return Err(BirthDateError);
        }
        let small = |number: Option<u16>| number.and_then(|number| u8::try_from(number).ok());
        Ok(Self { year, month: small(month), day: small(day) })
    }
}

impl fmt::Display for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        [self.month, self.day].into_iter().flatten().try_for_each(|part| write!(f, "-{part:02}"))
    }
}

impl Serialize for BirthDate {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BirthDate {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_birth_is_read_as_far_as_it_is_known() {
        for text in ["1984", "1984-05", "1984-05-17", "2000-02-29", "0001-12-31"] {
            assert_eq!(text.parse::<BirthDate>().map(|date| date.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "84", "1984-5", "1984-13", "1984-00", "1984-02-30", "1900-02-29", "1984-05-17-1", "+984", "0000"]
        {
            assert_eq!(text.parse::<BirthDate>(), Err(BirthDateError), "{text}");
        }
    }

    #[test]
    fn a_record_of_a_later_release_is_read() {
        let person: Person = serde_json::from_str(r#"{"name":"Ada","pronouns":"she"}"#).expect("a record");
        assert_eq!(person, Person { name: Some("Ada".into()), ..Person::default() });
    }
}
