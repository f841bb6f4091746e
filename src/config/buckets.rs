//! The settings of a fleet's buckets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How crops, or results, lie in S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Those of many images in one object.
    Packed,
    /// Each in an object of its own, as releases before had them.
    Single,
}

/// Where images come from and results go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buckets {
    /// Bucket of images. What is created in it is told to the queue of images.
    pub images: String,
    /// Bucket of crops and groups.
    pub groups: String,
    /// Bucket of photos to recognise, until they are.
    pub input: String,
    /// Bucket of answers, until they are read.
    pub output: String,
    /// How crops lie in the bucket of groups.
    pub crops: Layout,
    /// How results lie: packed in the bucket of groups, or single.
    pub results: Layout,
    /// Bucket of single results; empty is the bucket of groups. In the bucket of images each result is told to the queue of
    /// images.
    pub results_bucket: String,
    /// Where single results lie in their bucket; empty writes no results, packed ones neither.
    pub results_prefix: String,
    /// The groups of a gallery are also written as one object, `groups.json`, for readers that know no index.
    pub groups_json: bool,
    /// KMS key that results, crops and groups are encrypted with; empty leaves it to the bucket.
    pub kms_key: String,
    /// Address of S3 where it is not `fleet.endpoint`.
    pub endpoint: String,
}

impl Buckets {
    /// Returns the bucket of single results.
    pub fn of_single_results(&self) -> &str {
        if self.results_bucket.is_empty() { &self.groups } else { &self.results_bucket }
    }

    /// Returns the bucket that results are written to.
    pub fn of_results(&self) -> &str {
        match self.results {
            Layout::Packed => &self.groups,
            Layout::Single => self.of_single_results(),
        }
    }

    /// Tells whether each result causes a message about a new object in the bucket of images. Workers skip it, but the
    /// submitter counts it as a photo, and during a cutover it reaches the other service.
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
