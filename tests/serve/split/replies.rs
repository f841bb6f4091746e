//! Queues of replies that web servers have for themselves.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::types::QueueAttributeName;

use super::{Split, becomes, gallery, stack};

/// The tag by which a server says that it is alive.
const ALIVE: &str = "muster:alive";
/// Seconds that messages are kept in the shared queue.
const RETENTION: &str = "600";

impl Split {
    /// The queues whose names begin as that of the queue of replies does.
    fn reply_queues(&self) -> BTreeSet<String> {
        let prefix = format!("{}-", self.responses.rsplit('/').next().unwrap());
        let listed = self.runtime.block_on(self.fleet.sqs.list_queues().queue_name_prefix(prefix).send()).unwrap();
        listed.queue_urls().iter().map(|url| url.rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// A queue of replies that another process made, marked as alive then.
    fn another(&self, suffix: &str, alive: Option<u64>) -> String {
        let name = format!("{}-{suffix}", self.responses.rsplit('/').next().unwrap());
        let mut made = self.fleet.sqs.create_queue().queue_name(&name);
        if let Some(alive) = alive {
            made = made.tags(ALIVE, alive.to_string());
        }
        self.runtime.block_on(made.send()).unwrap();
        name
    }
}

#[test]
fn each_web_server_hears_its_replies_in_a_queue_of_its_own_and_takes_it_along() {
    let split = Split::new(&stack());
    let portraits = split.runtime.block_on(gallery(&split.fleet));
    let photo = std::fs::read(&portraits[0].0).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = split.another("left", Some(now - 2 * 86_400));
    let others = BTreeSet::from([split.another("alive", Some(now - 3600)), split.another("unmarked", None)]);
    assert!(split.reply_queues().contains(&left));

    let kept = split.fleet.sqs.set_queue_attributes().queue_url(&split.responses);
    let kept = kept.attributes(QueueAttributeName::MessageRetentionPeriod, RETENTION);
    split.runtime.block_on(kept.send()).unwrap();
    let settings = [("MUSTER_QUEUES__OWN_RESPONSES", "true"), ("MUSTER_SERVE__SECONDS", "300")];
    let webs = [split.web(&settings), split.web(&settings), split.web(&settings)];
    // What a killed server left is gone; what is another's, or of one that lives, stays.
    becomes(&(others.len() + webs.len(), false), || {
        let queues = split.reply_queues();
        (queues.len(), queues.contains(&left))
    });
    let own: Vec<String> = split.reply_queues().difference(&others).cloned().collect();
    let shared = split.responses.strip_suffix(split.responses.rsplit('/').next().unwrap()).unwrap();
    for queue in &own {
        let asked = split.fleet.sqs.get_queue_attributes().queue_url(format!("{shared}{queue}"));
        let asked = asked.attribute_names(QueueAttributeName::MessageRetentionPeriod);
        let answer = split.runtime.block_on(asked.send()).unwrap();
        let kept = answer.attributes().unwrap().values().cloned().collect::<Vec<_>>();
        assert_eq!(kept, [RETENTION], "as the shared queue has it");
    }

    let _worker = split.worker();
    for _ in 0..3 {
        for web in &webs {
            becomes(&200, || web.asking(photo.clone()).send().unwrap().status().as_u16());
        }
    }
    // Nobody receives from the shared queue: what had been sent there would still be there.
    assert_eq!(split.depth(&split.responses), (0, 0));
    for queue in &own {
        becomes(&(0, 0), || split.depth(&format!("{shared}{queue}")));
    }
    for web in webs {
        assert_eq!(web.stop(), 0);
    }
    becomes(&others, || split.reply_queues());
    split.clean();
}
