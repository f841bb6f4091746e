//! Builds a dead letter: the unchanged message, with its origin and the reason why it cannot be processed.

use std::collections::HashMap;

use aws_sdk_sqs::types::MessageAttributeValue;
use muster_actors::domain::image::Rejection;

/// Most bytes of a message, its attributes included (SQS quota: 1 MiB).
const MESSAGE_BYTES: usize = 1 << 20;
/// Bytes that are reserved for the attributes.
const ATTRIBUTE_BYTES: usize = 8 << 10;
/// Most bytes of a rejection's detail in an attribute.
const DETAIL_BYTES: usize = 1 << 10;

/// A received message that may become a dead letter.
#[derive(Clone, Debug)]
pub(super) struct Original {
    pub(super) body: String,
    pub(super) message: String,
    pub(super) receive_count: u32,
}

/// A dead letter that is ready to be sent.
pub(super) struct DeadLetter {
    pub(super) body: String,
    pub(super) attributes: HashMap<String, MessageAttributeValue>,
}

impl DeadLetter {
    /// Builds the dead letter of a message of the queue `origin`.
    pub(super) fn new(original: &Original, rejection: &Rejection, origin: &str) -> Self {
        let attribute = |(name, value): (&str, String)| {
            // SQS allows no empty attribute, and only the characters of XML 1.0.
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            let value = if value.is_empty() { "-".to_owned() } else { value };
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()?;
            Some((name.to_owned(), value))
        };
        let attributes = [
            ("reason", rejection.reason.as_str().to_owned()),
            ("detail", cut(&rejection.detail, DETAIL_BYTES).to_owned()),
            ("origin", origin.to_owned()),
            ("message_id", original.message.clone()),
            ("receive_count", original.receive_count.to_string()),
        ];
        Self {
            body: cut(&original.body, MESSAGE_BYTES - ATTRIBUTE_BYTES).to_owned(),
            attributes: attributes.into_iter().filter_map(attribute).collect(),
        }
    }
}

/// Cuts a text to this number of bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_fits_and_says_why_and_from_where() {
        let original = Original { body: "é".repeat(MESSAGE_BYTES / 2), message: "m-1".into(), receive_count: 3 };
        let rejection = Rejection::new(muster_actors::domain::image::RejectReason::BadMessage, "\u{0}".repeat(9));
        let DeadLetter { body, attributes } = DeadLetter::new(&original, &rejection, "https://queue");
        let size: usize =
            attributes.iter().map(|(name, value)| name.len() + value.string_value().unwrap().len() + 6).sum();
        assert!(body.len() + size <= MESSAGE_BYTES);
        let value = |name: &str| attributes[name].string_value().unwrap().to_owned();
        assert_eq!(
            (value("reason"), value("detail"), value("origin")),
            ("BAD_MESSAGE".into(), "-".into(), "https://queue".into())
        );
    }
}
