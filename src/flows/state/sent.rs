//! How long ago devices were pushed to.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::domain::ids::Node;
use crate::domain::time::Moment;

/// When pushes went to devices, as long as it matters.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) last: HashMap<Node, Moment>,
    pub(super) order: VecDeque<(Moment, Node)>,
}

impl Sent {
    pub(super) fn last(&self, node: &Node) -> Option<Moment> {
        self.last.get(node).copied()
    }

    pub(super) fn note(&mut self, node: &Node, at: Moment, matters: Option<Duration>) {
        let Some(matters) = matters else { return };
        self.last.insert(node.clone(), at);
        self.order.push_back((at, node.clone()));
        while self.order.front().is_some_and(|(then, _)| *then + matters <= at) {
            let Some((then, node)) = self.order.pop_front() else { return };
            if self.last.get(&node) == Some(&then) {
                self.last.remove(&node);
            }
        }
    }
}
