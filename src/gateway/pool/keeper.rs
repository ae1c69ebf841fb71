//! Whether a connection lives, and whether anybody needs it.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use super::Limits;
use super::connection::{Talk, Vitals};
use super::error::PoolError;
use super::shared::Shared;
use crate::domain::time::Moment;

/// Finds out whether a silent connection is dead (RFC 9113 §6.7), and closes one that nobody needs.
pub(super) struct Keeper {
    asked: Option<Moment>,
    tick: Interval,
    ticked: Option<Moment>,
    every: Duration,
    idle: Duration,
    ended: u64,
    /// Requests ever sent, when last asked.
    sent: u64,
    /// How often it was asked since one was.
    asks: u32,
}

impl Keeper {
    pub(super) fn new(limits: &Limits) -> Self {
        let every =
            (limits.ping_silent.min(limits.pong_within).min(limits.close_idle) / 2).max(Duration::from_millis(5));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { asked: None, tick, ticked: None, every, idle: Duration::ZERO, ended: 0, sent: 0, asks: 0 }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        talk: &Talk,
        vitals: &Vitals,
        serial: u64,
        pool: &Shared,
    ) -> ControlFlow<PoolError> {
        while self.tick.poll_tick(cx).is_ready() {
            let now = pool.clock.steady();
            let late = self.ticked.is_some_and(|ticked| now - ticked > self.every * 2);
            self.ticked = Some(now);
            // It is we who were silent, or this machine: what came meanwhile is read before anybody is judged.
            if late {
                continue;
            }
            self.check(now, talk, vitals, pool)?;
            self.count_idle(vitals, serial, pool);
            if vitals.is_stale(now, pool.limits.stale_after) {
                pool.retire(serial);
            }
        }
        ControlFlow::Continue(())
    }

    fn check(&mut self, now: Moment, talk: &Talk, vitals: &Vitals, pool: &Shared) -> ControlFlow<PoolError> {
        let heard = vitals.pulse.heard();
        if self.asked.is_some() && !talk.lock().is_asked() {
            self.asked = None;
        }
        if let Some(asked) = self.asked {
            // Whoever is alive answers, whatever else it says (RFC 9113 §6.7).
            let silent = now - asked.max(heard) >= pool.limits.pong_within;
            if silent || now - asked >= pool.limits.ping_idle {
                return ControlFlow::Break(PoolError::Cut("the vendor has gone silent".into()));
            }
            return ControlFlow::Continue(());
        }
        let in_flight = vitals.in_flight.load(Ordering::Relaxed);
        let sent = vitals.ended.load(Ordering::Relaxed).saturating_add(in_flight as u64);
        if sent != self.sent {
            (self.sent, self.asks) = (sent, 0);
        }
        // One request that hangs is no reason to ask again and again: vendors count pings.
        let patience = match in_flight {
            0 => pool.limits.ping_idle,
            _ => pool.limits.ping_silent.saturating_mul(1 << self.asks.min(5)).min(pool.limits.ping_idle),
        };
        if now - heard >= patience {
            talk.lock().ping();
            self.asked = Some(now);
            self.asks = self.asks.saturating_add(1);
        }
        ControlFlow::Continue(())
    }

    /// Lets a connection go that has had nothing to do for long, unless it is the only one.
    fn count_idle(&mut self, vitals: &Vitals, serial: u64, pool: &Shared) {
        let ended = vitals.ended.load(Ordering::Relaxed);
        let busy = vitals.in_flight.load(Ordering::Relaxed) > 0 || ended != self.ended;
        self.ended = ended;
        self.idle = if busy { Duration::ZERO } else { self.idle + self.every };
        if self.idle >= pool.limits.close_idle {
            pool.release_idle(serial);
            self.idle = Duration::ZERO;
        }
    }
}
