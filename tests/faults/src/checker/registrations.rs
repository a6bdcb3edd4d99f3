//! R1 to R4 and U1.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::believing::{Belief, beliefs, overlaps};
use super::order::Order;
use super::{Rule, Terms, Verdict};
use crate::history::{Line, Mode, What};

pub(super) fn check(lines: &[Line], order: &Order, terms: Terms, verdict: &mut Verdict) {
    let believed = beliefs(lines, false);
    let wishes = Wishes::read(lines, order);
    for (key, list) in &believed {
        verdict.beliefs += list.len();
        for belief in list {
            match terms.mode {
                Mode::Events => in_order(belief, order, terms, verdict),
                Mode::States => in_states(belief, order, terms, verdict),
            }
        }
        for (before, belief) in overlaps(list) {
            // Who was robbed by an administrator must be told, and is: that is R2. Until then two believe.
            if wishes.evicted(key, before.from, belief.from) {
                continue;
            }
            let says = format!(
                "believes in {key} ({}) while {} does ({}), for {} ms",
                belief.token,
                before.who,
                before.token,
                (before.last - belief.from) / 1000
            );
            verdict.add(Rule::U1, belief.begun, says);
        }
    }
    for (key, wish) in &wishes.of {
        if wish.absent {
            taken_over(key, order, lines, verdict);
        }
        if wish.who.len() == 1
            && !wish.left_behind
            && let Some(line) = wish.conflicts.first()
        {
            let says = format!("was refused {key} {} times, which nobody else wants", wish.conflicts.len());
            verdict.add(Rule::R4, line, says);
        }
    }
    wishes.in_the_end(order, &believed, verdict);
}

/// R1 and R2, where the order of all changes is known.
fn in_order(belief: &Belief<'_>, order: &Order, terms: Terms, verdict: &mut Verdict) {
    let mut events = order.of(belief.of).skip_while(|event| event.position < belief.token);
    let is_own = |created: u64| created == belief.token;
    let written = events.next().and_then(|event| event.entry.as_ref()).is_some_and(|seen| is_own(seen.created));
    if !written {
        let says = format!("believes in {} since {}, and nobody wrote it there", belief.of, belief.token);
        verdict.add(Rule::R1, belief.begun, says);
        return;
    }
    let gone = events.find(|event| event.entry.as_ref().is_none_or(|seen| !is_own(seen.created)));
    if let Some(gone) = gone {
        silent(belief, gone.at, terms, verdict);
    }
}

/// R2, where only states are known: the entry was seen, and then it was not.
fn in_states(belief: &Belief<'_>, order: &Order, terms: Terms, verdict: &mut Verdict) {
    let stands =
        |members: &crate::history::Members| members.get(belief.of).is_some_and(|seen| seen.created == belief.token);
    let mut looks = order.looks.iter().skip_while(|look| !stands(&look.members));
    if let Some(gone) = looks.find(|look| !stands(&look.members)) {
        silent(belief, gone.at, terms, verdict);
    }
}

fn silent(belief: &Belief<'_>, gone_at: u64, terms: Terms, verdict: &mut Verdict) {
    if belief.last > gone_at + terms.notice {
        let says = format!(
            "SILENTLY LOST: {} ({}) went, and {} ms later it was still believed in (allowed are {} ms)",
            belief.of,
            belief.token,
            (belief.last - gone_at) / 1000,
            terms.notice / 1000
        );
        verdict.add(Rule::R2, belief.begun, says);
    }
}

/// U1: who asks for an absent name gets no name that is there.
fn taken_over(key: &str, order: &Order, lines: &[Line], verdict: &mut Verdict) {
    let mut owner = None;
    for event in order.of(key) {
        let next = event.entry.as_ref().map(|seen| seen.created);
        if let (Some(before), Some(next)) = (owner, next)
            && before != next
        {
            let at = lines.partition_point(|line| line.at < event.at).min(lines.len().saturating_sub(1));
            verdict.add(
                Rule::U1,
                &lines[at],
                format!("{key} was taken over at {next}, while the entry of {before} stood"),
            );
        }
        owner = next;
    }
}

#[derive(Default)]
struct Wish<'a> {
    /// Everybody who ever wanted it.
    who: BTreeSet<&'a str>,
    /// Who wanted it when all was quiet.
    at_quiet: BTreeSet<&'a str>,
    /// Everybody wanted it only if nobody had it.
    absent: bool,
    conflicts: Vec<&'a Line>,
    /// Somebody who wanted it ended without a word, or could not give it back: that is in the way of the next one for a
    /// while, and no fault of anybody's.
    left_behind: bool,
}

/// What registrars want.
#[derive(Default)]
struct Wishes<'a> {
    of: BTreeMap<&'a str, Wish<'a>>,
    evictions: Vec<(u64, &'a str)>,
    quiet: Option<&'a Line>,
}

impl<'a> Wishes<'a> {
    fn read(lines: &'a [Line], order: &Order) -> Self {
        let mut wishes = Self::default();
        let quiet = order.quiet.map_or(lines.len(), |(_, number)| number);
        for (number, line) in lines.iter().enumerate() {
            let before = number < quiet;
            match &line.what {
                What::Announcing { key, absent } => {
                    let wish = wishes.of.entry(key).or_insert_with(|| Wish { absent: true, ..Wish::default() });
                    wish.absent &= absent;
                    wish.who.insert(&line.who);
                    if before {
                        wish.at_quiet.insert(&line.who);
                    }
                }
                What::Deregistering { key } if before => {
                    if let Some(wish) = wishes.of.get_mut(key.as_str()) {
                        wish.at_quiet.remove(line.who.as_str());
                    }
                }
                What::Conflict { key } => {
                    if let Some(wish) = wishes.of.get_mut(key.as_str()) {
                        wish.conflicts.push(line);
                    }
                }
                What::Crashed => {
                    for wish in wishes.of.values_mut().filter(|wish| wish.who.contains(line.who.as_str())) {
                        wish.left_behind = true;
                        if before {
                            wish.at_quiet.remove(line.who.as_str());
                        }
                    }
                }
                What::LeftBehind { key } => {
                    if let Some(wish) = wishes.of.get_mut(key.as_str()) {
                        wish.left_behind = true;
                    }
                }
                What::Evicting { key } => wishes.evictions.push((line.at, key)),
                What::Quiet { .. } => wishes.quiet = Some(line),
                _ => {}
            }
        }
        wishes
    }

    /// Whether an administrator removed this entry in between.
    fn evicted(&self, key: &str, from: u64, to: u64) -> bool {
        let first = self.evictions.partition_point(|(at, _)| *at < from);
        self.evictions[first..].iter().take_while(|(at, _)| *at <= to).any(|(_, evicted)| *evicted == key)
    }

    /// R3: what is wanted stands, and its owner knows; what nobody wants is gone.
    fn in_the_end(&self, order: &Order, believed: &HashMap<&str, Vec<Belief<'_>>>, verdict: &mut Verdict) {
        let (Some(quiet), Some((position, _))) = (self.quiet, order.quiet) else { return };
        let last = order.looks.iter().rfind(|look| look.index <= position).map(|look| look.members.clone());
        let truth = last.unwrap_or_else(|| order.state(position));
        for (key, wish) in &self.of {
            let stands = truth.get(*key).map(|seen| seen.created);
            let believing = |belief: &&Belief<'_>| belief.from <= quiet.at && (belief.open || belief.last >= quiet.at);
            let owners: Vec<_> = believed.get(key).into_iter().flatten().filter(believing).collect();
            let says = match (wish.at_quiet.is_empty(), stands) {
                (true, None) => continue,
                (true, Some(created)) => format!("GHOST: nobody wants {key} ({created}), and it stands"),
                (false, None) => format!("{key} is wanted and does not stand"),
                (false, Some(created)) if owners.iter().any(|owner| owner.token == created) => continue,
                (false, Some(created)) => format!("{key} ({created}) stands, and nobody believes that it is his"),
            };
            let who = wish.at_quiet.first().or(wish.who.first()).map_or("?", |who| *who);
            verdict.add(Rule::R3, &Line { who: who.to_owned(), ..quiet.clone() }, says);
        }
    }
}
