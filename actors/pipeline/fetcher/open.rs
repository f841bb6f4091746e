//! Opens the leases of a delivery. A message that names no work, or cannot be read, ends here.

use std::sync::Arc;

use super::Forward;
use super::waitlist::{Task, Waitlist};
use crate::domain::image::Rejection;
use crate::domain::message::{Message, parse, parse_grouping};
use crate::flow::progress::Stage;
use crate::pipeline::context::PipelineContext;
use crate::ports::queue::Delivery;

/// Opens the leases of a message and adds its parts to the waitlist.
pub(super) fn open(context: &PipelineContext, forward: &Forward, mut delivery: Delivery, waitlist: &mut Waitlist) {
    let body = std::mem::take(&mut delivery.body);
    context.stats.stage(Stage::Fetcher, |s| {
        s.done += 1;
        s.bytes += body.len() as u64;
    });
    let delivery = Arc::new(delivery);
    let longest = context.settings.fetcher.message_bytes;
    match forward {
        Forward::Images { .. } => match parse(&body, &context.settings.intake, longest) {
            Ok(Message::Images(images)) => {
                let locators = images.iter().map(|image| Some(image.locator.clone()));
                let leases = context.leases.open(&delivery, locators.collect());
                waitlist.add(&delivery, images.into_iter().map(Task::Image).zip(leases));
            }
            Ok(Message::Ignored(why)) => {
                tracing::debug!(why, "fetcher.ignore");
                context.stats.note(|p| p.ignored_messages += 1);
                context.leases.open(&delivery, Vec::new());
            }
            Err(rejection) => reject(context, &delivery, &rejection),
        },
        Forward::Galleries(_) => match parse_grouping(&body, longest) {
            Ok(gallery) => {
                let leases = context.leases.open(&delivery, vec![None]);
                waitlist.add(&delivery, leases.into_iter().map(|lease| (Task::Gallery(gallery.clone()), lease)));
            }
            Err(rejection) => reject(context, &delivery, &rejection),
        },
    }
}

fn reject(context: &PipelineContext, delivery: &Delivery, rejection: &Rejection) {
    let leases = context.leases.open(delivery, vec![None]);
    leases.into_iter().for_each(|lease| lease.reject(rejection.clone()));
}
