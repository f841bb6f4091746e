//! Everything that a fleet keeps of its images anywhere, and the signs by which one of them would be known in it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use mongodb::bson::{Bson, Document, doc, serialize_to_vec};
use serde_json::Value;

use super::{stack, support};
use crate::support::fleet::{Fleet, Worker, ended};

/// A fleet with a numbered database of Redis for itself: what is in it is only its own.
pub(crate) struct Own {
    pub(crate) fleet: Fleet,
    pub(crate) redis: String,
}

/// A group's faces: photo and box.
pub(crate) type Places = BTreeSet<(String, String)>;

impl Own {
    pub(crate) async fn new(number: u8) -> Self {
        let stack = stack();
        let redis = format!("{}/{number}", stack.url("redis").trim_end_matches('/'));
        Self { fleet: Fleet::new(&stack).await, redis }
    }

    pub(crate) fn work(&self, command: &str) -> Value {
        ended(Worker::start(self.fleet.worker(command).env("REDIS_URL", &self.redis)), 0)
    }

    pub(crate) async fn index(&self, keys: &[String]) -> Value {
        self.fleet.send(keys.iter().map(|key| self.fleet.event(key))).await;
        let detected = self.work("detect");
        self.work("group");
        detected
    }

    pub(crate) async fn group(&self) {
        let body = r#"{"gallery_id":"demo"}"#;
        self.fleet.sqs.send_message().queue_url(&self.fleet.galleries).message_body(body).send().await.unwrap();
        self.work("group");
    }

    /// What people said, as the release before noted it and grouped by it.
    pub(crate) async fn say_as_before(&self, decisions: &[Document], names: &[(&String, &str)]) {
        let database = self.fleet.database("gallery_images").await;
        let numbered = (1i64..).zip(decisions).map(|(seq, decision)| {
            let mut decision = decision.clone();
            decision.extend(doc! { "gallery": "demo", "seq": seq, "batch": seq });
            decision
        });
        database.collection("decisions").insert_many(numbered).await.unwrap();
        let groups = database.collection::<Document>("groups");
        for group in self.all("groups").await {
            if let Some((_, name)) = names.iter().find(|(id, _)| **id == hex(&group, "_id")) {
                let named = doc! { "$set": { "name": *name } };
                groups.update_one(doc! { "_id": group.get("_id") }, named).await.unwrap();
            }
        }
        let galleries = database.collection::<Document>("galleries");
        galleries.update_one(doc! { "_id": "demo" }, doc! { "$unset": { "facts": 1 } }).await.unwrap();
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        let groups = self.all("groups").await;
        let mut names: Vec<String> = groups.iter().filter_map(|g| Some(g.get_str("name").ok()?.to_owned())).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.fleet.muster();
        command.arg("forget").args(arguments).args(["--gallery", "demo", "--json"]).env("REDIS_URL", &self.redis);
        command
    }

    pub(crate) fn forget(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&support::run(&mut self.command(arguments), 0).stdout).unwrap()
    }

    pub(crate) fn s3(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.fleet.photos)
    }

    pub(crate) async fn groups(&self) -> BTreeMap<String, Places> {
        let images: BTreeMap<String, String> =
            self.all("images").await.iter().map(|i| (hex(i, "_id"), i.get_str("key").unwrap().to_owned())).collect();
        let mut groups = BTreeMap::<String, Places>::new();
        for face in self.all("faces").await.iter().filter(|face| face.contains_key("group")) {
            let place = (images[&hex(face, "image")].clone(), face.get_document("box").unwrap().to_string());
            groups.entry(hex(face, "group")).or_default().insert(place);
        }
        groups
    }

    pub(crate) async fn all(&self, collection: &str) -> Vec<Document> {
        self.fleet.documents("gallery_images", collection).await
    }

    /// Everything that is kept anywhere, by where: tombstones, the photos themselves, and what the metadata says of their fate excepted.
    pub(crate) async fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let mut kept = Vec::new();
        let database = self.fleet.database("gallery_images").await;
        for collection in database.list_collection_names().await.unwrap() {
            if collection != "forgotten" {
                let documents = self.all(&collection).await;
                kept.extend(documents.iter().map(|d| (format!("{collection} {d}"), serialize_to_vec(d).unwrap())));
            }
        }
        for bucket in [&self.fleet.photos, &self.fleet.groups] {
            for key in self.keys(bucket).await {
                if *bucket == self.fleet.groups || key.starts_with("results/") {
                    kept.push((
                        format!("{bucket}/{key}"),
                        [key.as_bytes(), &self.fleet.object(bucket, &key).await].concat(),
                    ));
                }
            }
        }
        for (key, value) in self.cached().await {
            kept.push((format!("redis {key}"), [key.as_bytes(), &value].concat()));
        }
        kept
    }

    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let mut pages = self.fleet.s3.list_objects_v2().bucket(bucket).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        keys
    }

    pub(crate) async fn cached(&self) -> Vec<(String, Vec<u8>)> {
        let mut redis =
            redis::Client::open(self.redis.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
        let mut cached = Vec::new();
        for key in keys {
            let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
            let value: Vec<Vec<u8>> = match kind.as_str() {
                "hash" => redis::cmd("HGETALL").arg(&key).query_async(&mut redis).await.unwrap(),
                _ => vec![redis::cmd("GET").arg(&key).query_async(&mut redis).await.unwrap()],
            };
            cached.push((key, value.concat()));
        }
        cached
    }

    /// All by which images and faces are known: ids, keys, digests, vectors, contents.
    pub(crate) async fn signs(&self, keys: &BTreeSet<&str>) -> Signs {
        let (mut signs, mut images) = (Signs::default(), BTreeSet::new());
        for image in self.all("images").await {
            let key = image.get_str("key").unwrap();
            if keys.contains(key) {
                signs.add(key.as_bytes());
                signs.id(&image, "_id");
                images.insert(hex(&image, "_id"));
                let content = image.get_binary_generic("content").unwrap();
                signs.add(blake3::Hash::from_slice(content).unwrap().to_hex().as_bytes());
            }
        }
        signs.faces(self.all("faces").await.iter().filter(|face| images.contains(&hex(face, "image"))));
        signs
    }

    pub(crate) async fn assert_nowhere(&self, signs: &Signs) {
        assert!(!signs.0.is_empty());
        for (place, bytes) in self.kept().await {
            if let Some(sign) = signs.0.iter().find(|sign| bytes.windows(sign.len()).any(|part| part == **sign)) {
                panic!("{} is in {place}", String::from_utf8_lossy(sign));
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Signs(BTreeSet<Vec<u8>>);

impl Signs {
    pub(crate) fn add(&mut self, sign: &[u8]) {
        self.0.insert(sign.to_vec());
    }

    pub(crate) fn id(&mut self, document: &Document, key: &str) {
        let Some(Bson::Binary(id)) = document.get(key) else { panic!("{document}") };
        self.add(&id.bytes);
        self.add(hex(document, key).as_bytes());
    }

    pub(crate) fn faces<'a>(&mut self, faces: impl Iterator<Item = &'a Document>) {
        for face in faces {
            self.id(face, "_id");
            self.id(face, "digest");
            let Some(Bson::Binary(embedding)) = face.get("embedding") else { panic!("{face}") };
            // Two bytes say what kind of numbers follow (BSON Binary subtype 9).
            self.add(&embedding.bytes[2..34]);
        }
    }
}

pub(crate) fn hex(document: &Document, key: &str) -> String {
    let Some(Bson::Binary(id)) = document.get(key) else { panic!("{key} of {document}") };
    id.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
