//! Pages of lists. A cursor holds the sort key of the last item on the page before, so items that come and go meanwhile
//! shift no page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

const USUAL: usize = 50;
const MOST: usize = 500;

/// The page of a list that a request asks for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 1024)]
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Cursor of what follows; `null` at the end.
    pub next: Option<String>,
    /// Items in the whole list.
    pub total: usize,
}

impl Page {
    /// Items at most.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(USUAL) {
            limit @ 1..=MOST => Ok(limit),
            limit => Err(Problem::invalid(format!("limit is {limit}, allowed is 1 to {MOST}"))),
        }
    }

    /// Returns the sort key of the last item on the page before.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.map(Some).ok_or_else(|| Problem::invalid("cursor is not one of this list"))
    }

    /// Cuts the page out of a whole list that is ordered by `key`, ascending.
    pub fn of<T: Clone, K: Serialize + DeserializeOwned + PartialOrd>(
        &self,
        all: &[T],
        key: impl Fn(&T) -> K,
    ) -> Result<List<T>, Problem> {
        let (limit, after) = (self.limit()?, self.after::<K>()?);
        let start = after.map_or(0, |last| all.partition_point(|item| key(item) <= last));
        let items: Vec<T> = all[start..].iter().take(limit).cloned().collect();
        let next = items.last().filter(|_| start + items.len() < all.len()).map(|last| cursor(&key(last)));
        Ok(List { items, next, total: all.len() })
    }
}

/// Encodes the cursor that continues after an item with this sort key.
pub fn cursor(key: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: usize, cursor: Option<String>) -> Page {
        Page { limit: Some(limit), cursor }
    }

    #[test]
    fn pages_follow_each_other_whatever_comes_and_goes() {
        let mut all: Vec<u32> = (0..10).map(|n| n * 10).collect();
        let first = page(4, None).of(&all, |n| *n).unwrap();
        assert_eq!((first.items.as_slice(), first.total), (&[0, 10, 20, 30][..], 10));
        // The last that was seen is gone, one came before it and one after.
        all.retain(|n| *n != 30);
        all.extend([5, 35]);
        all.sort_unstable();
        let second = page(4, first.next).of(&all, |n| *n).unwrap();
        assert_eq!(second.items, [35, 40, 50, 60]);
        let last = page(500, second.next).of(&all, |n| *n).unwrap();
        assert_eq!((last.items.as_slice(), last.next), (&[70, 80, 90][..], None));
    }

    #[test]
    fn a_cursor_of_another_list_and_a_limit_out_of_range_are_refused() {
        let all = [1_u32, 2];
        for page in [page(1, Some("?".into())), page(1, Some(cursor(&"text"))), page(0, None), page(501, None)] {
            assert!(page.of(&all, |n| *n).is_err(), "{page:?}");
        }
    }
}
