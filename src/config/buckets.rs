//! The settings of a fleet's buckets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way in which crops, or results, are stored in S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Packed: one object holds those of many images.
    Packed,
    /// Single: each is an object of its own, as in earlier releases.
    Single,
}

/// The buckets of images and results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buckets {
    /// Bucket of images. Each object that is created in it causes a message in the queue of images.
    pub images: String,
    /// Bucket of crops and groups.
    pub groups: String,
    /// Bucket in which photos that are to be recognised wait.
    pub input: String,
    /// Bucket in which answers wait until they are read.
    pub output: String,
    /// How crops are stored in the bucket of groups.
    pub crops: Layout,
    /// How results are stored: packed in the bucket of groups, or single.
    pub results: Layout,
    /// Bucket of single results; empty means the bucket of groups. In the bucket of images each result would cause a
    /// message in the queue of images.
    pub results_bucket: String,
    /// Prefix of single results in their bucket; empty writes no results, also no packed ones.
    pub results_prefix: String,
    /// Whether the groups of a gallery are also written as one object, `groups.json`, for readers that do not use the
    /// index.
    pub groups_json: bool,
    /// KMS key with which results, crops and groups are encrypted; empty uses the bucket's default.
    pub kms_key: String,
    /// Address of S3, if it is not `fleet.endpoint`.
    pub endpoint: String,
}

impl Buckets {
    /// Returns the bucket of single results.
    pub fn of_single_results(&self) -> &str {
        if self.results_bucket.is_empty() { &self.groups } else { &self.results_bucket }
    }

    /// Returns the bucket to which results are written.
    pub fn of_results(&self) -> &str {
        match self.results {
            Layout::Packed => &self.groups,
            Layout::Single => self.of_single_results(),
        }
    }

    /// Tells whether each result causes a message in the queue of images. Workers skip it, but the submitter counts it
    /// as a photo, and during a cutover it reaches the other service.
    pub fn results_are_told(&self) -> bool {
        !self.results_prefix.is_empty() && !self.images.is_empty() && self.of_results() == self.images
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layers;

    #[test]
    fn results_are_told_to_the_queue_of_images_only_where_they_lie_among_the_images() {
        for (images, groups, layout, results, prefix, bucket, told) in [
            ("photos", "groups", Layout::Single, "", "results/", "groups", false),
            ("photos", "groups", Layout::Single, "others", "results/", "others", false),
            ("photos", "groups", Layout::Single, "photos", "results/", "photos", true),
            ("photos", "groups", Layout::Single, "photos", "", "photos", false),
            ("photos", "photos", Layout::Single, "", "results/", "photos", true),
            ("", "", Layout::Single, "", "results/", "", false),
            // A pack does not care where single results would lie.
            ("photos", "groups", Layout::Packed, "photos", "results/", "groups", false),
            ("photos", "photos", Layout::Packed, "others", "results/", "photos", true),
            ("photos", "photos", Layout::Packed, "", "", "photos", false),
        ] {
            let mut buckets = Layers::defaults().settings().unwrap().buckets;
            (buckets.images, buckets.groups, buckets.results) = (images.into(), groups.into(), layout);
            (buckets.results_bucket, buckets.results_prefix) = (results.into(), prefix.into());
            assert_eq!((buckets.of_results(), buckets.results_are_told()), (bucket, told), "{buckets:?}");
        }
    }
}
