//! Selects the cards that are used. Pure functions.

use super::cards::Card;

/// The cards that a user asks for by `models.devices`, or `MUSTER_DEVICES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardSelection {
    /// All cards that the driver shows.
    All,
    /// No card is used; models run on the processor.
    Cpu,
    /// These cards are used, named by number or uuid.
    Named(Vec<String>),
}

/// Errors of selecting cards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardSelectionError {
    /// There is no card of this name.
    #[error(
        "models.devices (MUSTER_DEVICES) names {named}, and there is {there}: give numbers from 0, uuids, auto or cpu"
    )]
    Unknown {
        /// Name in the settings.
        named: String,
        /// List of the cards that exist.
        there: String,
    },
    /// The same card is named twice.
    #[error("models.devices (MUSTER_DEVICES) names card {0} twice: models.lanes says how many lanes a card has")]
    Twice(u32),
}

impl CardSelection {
    /// Reads `auto`, `cpu`, or numbers and uuids between commas.
    pub fn parse(text: &str) -> Self {
        match text.trim().to_lowercase().as_str() {
            "" | "auto" | "all" => Self::All,
            "cpu" | "none" => Self::Cpu,
            _ => Self::Named(
                text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            ),
        }
    }

    /// Returns the selected ones of `cards`, in the order in which they are named.
    ///
    /// # Errors
    /// A named card does not exist, or is named twice.
    pub fn of<'a>(&self, cards: &'a [Card]) -> Result<Vec<&'a Card>, CardSelectionError> {
        match self {
            Self::All => Ok(cards.iter().collect()),
            Self::Cpu => Ok(Vec::new()),
            Self::Named(names) => {
                let mut chosen: Vec<&Card> = Vec::new();
                for name in names {
                    let card = cards
                        .iter()
                        .find(|card| is_called(card, name))
                        .ok_or_else(|| CardSelectionError::Unknown { named: name.clone(), there: listed(cards) })?;
                    if chosen.iter().any(|other| other.ordinal == card.ordinal) {
                        return Err(CardSelectionError::Twice(card.ordinal));
                    }
                    chosen.push(card);
                }
                Ok(chosen)
            }
        }
    }
}

/// Tells whether a card has this number, or a uuid that begins with this text, as in
/// `CUDA_VISIBLE_DEVICES`.
fn is_called(card: &Card, name: &str) -> bool {
    match name.parse::<u32>() {
        Ok(ordinal) => ordinal == card.ordinal,
        Err(_) => {
            let (uuid, name) = (card.uuid.to_lowercase(), name.to_lowercase());
            name.len() > "gpu-".len() && uuid.starts_with(&name)
        }
    }
}

fn listed(cards: &[Card]) -> String {
    match cards {
        [] => String::from("no card"),
        cards => cards.iter().map(|card| format!("{} ({})", card.ordinal, card.uuid)).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards() -> Vec<Card> {
        ["GPU-aa11", "GPU-bb22", "GPU-bb33"]
            .iter()
            .zip(0..)
            .map(|(uuid, ordinal)| Card {
                ordinal,
                uuid: (*uuid).to_owned(),
                name: String::from("Tesla T4"),
                compute: (7, 5),
                driver: 12_080,
                total: 16 << 30,
                free: 15 << 30,
            })
            .collect()
    }

    #[test]
    fn what_is_asked_for_finds_its_cards() {
        let cards = cards();
        let table: [(&str, Result<&[u32], &str>); 13] = [
            ("", Ok(&[0, 1, 2])),
            ("auto", Ok(&[0, 1, 2])),
            (" ALL ", Ok(&[0, 1, 2])),
            ("cpu", Ok(&[])),
            ("none", Ok(&[])),
            ("0", Ok(&[0])),
            ("2, 0", Ok(&[2, 0])),
            ("GPU-aa11", Ok(&[0])),
            ("gpu-BB3", Ok(&[2])),
            ("3", Err("names 3, and there is 0 (GPU-aa11), 1")),
            ("GPU-", Err("names GPU-")),
            ("one", Err("names one")),
            ("1,1", Err("card 1 twice")),
        ];
        for (text, expected) in table {
            let chosen =
                CardSelection::parse(text).of(&cards).map(|cards| cards.iter().map(|card| card.ordinal).collect());
            match (chosen, expected) {
                (Ok::<Vec<u32>, _>(chosen), Ok(expected)) => assert_eq!(chosen, expected, "{text:?}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text:?}: {error}"),
                (chosen, expected) => panic!("{text:?}: {chosen:?}, not {expected:?}"),
            }
        }
        assert!(CardSelection::parse("0").of(&[]).unwrap_err().to_string().contains("there is no card"));
    }
}
