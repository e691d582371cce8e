//! The rules of a circuit, without a clock.

use super::*;
use proptest::prelude::*;

const POLICY: CircuitPolicy = CircuitPolicy {
    faults: 4,
    pause: Duration::from_secs(10),
};
const START: MonotonicTime = MonotonicTime::from_start(Duration::from_secs(1_000));
const ANN: WalletAddress = payer(1);
const BOB: WalletAddress = payer(2);
const EVE: WalletAddress = payer(3);

const fn payer(number: u8) -> WalletAddress {
    WalletAddress::new([number; 20])
}

/// Faults of these payers, in this order; what the last one changed.
fn faults(circuit: &mut Circuit, payers: &[WalletAddress]) -> Change {
    payers.iter().fold(Change::None, |_, payer| {
        circuit.take(*payer, Verdict::Fault, false, START)
    })
}

fn opened() -> Circuit {
    let mut circuit = Circuit::new(POLICY);
    assert_eq!(faults(&mut circuit, &[ANN, BOB, EVE, ANN]), Change::Opened);
    circuit
}

/// Finding 8: faults of one payer alone never open a circuit.
#[test]
fn faults_of_one_payer_alone_keep_only_that_payer_away() {
    let mut circuit = Circuit::new(POLICY);
    assert_eq!(faults(&mut circuit, &[EVE; 3]), Change::None);
    assert_eq!(circuit.admit(EVE, START), Admission::Free);
    assert_eq!(faults(&mut circuit, &[EVE]), Change::OpenedForPayer);
    assert_eq!(circuit.admit(EVE, START), Admission::Refused(POLICY.pause));
    faults(&mut circuit, &[EVE; 100]);
    assert!(!circuit.is_open());
    assert_eq!(circuit.admit(ANN, START), Admission::Free);
}

/// Finding 8: one payer does not complete the faults that another one happened to have.
#[test]
fn a_payer_counts_for_a_third_of_the_faults_at_most() {
    let nine = CircuitPolicy { faults: 9, ..POLICY };
    let mut circuit = Circuit::new(nine);
    faults(&mut circuit, &[ANN, BOB]);
    faults(&mut circuit, &[EVE; 100]);
    assert!(!circuit.is_open());
    faults(&mut circuit, &[ANN, BOB, ANN]);
    assert!(!circuit.is_open());
    assert_eq!(faults(&mut circuit, &[BOB]), Change::Opened);
    assert_eq!(circuit.admit(payer(9), START), Admission::Refused(POLICY.pause));
    let mut strict = Circuit::new(CircuitPolicy { faults: 1, ..POLICY });
    assert_eq!(faults(&mut strict, &[EVE; 5]), Change::OpenedForPayer);
    assert_eq!(faults(&mut strict, &[BOB]), Change::OpenedForPayer);
    assert_eq!(faults(&mut strict, &[ANN]), Change::Opened);
}

/// Finding 8: two wallets of one tenant are two payers, and open nothing together either.
#[test]
fn faults_of_two_payers_open_no_circuit() {
    for number in 1..=20 {
        let policy = CircuitPolicy {
            faults: number,
            ..POLICY
        };
        let mut circuit = Circuit::new(policy);
        faults(&mut circuit, &[EVE, BOB].repeat(100));
        assert!(!circuit.is_open(), "{number}");
        assert_eq!(circuit.admit(ANN, START), Admission::Free);
    }
}

/// A provider that fails everybody is left alone after no more faults than the policy says, or one of
/// each of three payers.
#[test]
fn an_outage_that_three_payers_meet_opens_at_the_policys_number() {
    for number in 1..=20 {
        let mut circuit = Circuit::new(CircuitPolicy {
            faults: number,
            ..POLICY
        });
        let turns = [ANN, BOB, EVE].into_iter().cycle();
        let opened = turns
            .enumerate()
            .find(|(_, payer)| faults(&mut circuit, &[*payer]) == Change::Opened);
        let (before, _) = opened.unwrap();
        assert_eq!(before + 1, number.max(DISTINCT_PAYERS) as usize);
    }
}

#[test]
fn a_complete_answer_to_anybody_begins_the_count_anew() {
    let mut circuit = Circuit::new(POLICY);
    for _ in 0..5 {
        faults(&mut circuit, &[ANN, BOB, EVE]);
        assert_eq!(circuit.take(ANN, Verdict::Sound, false, START), Change::None);
        assert_eq!(circuit.take(BOB, Verdict::Sound, false, START), Change::None);
        assert_eq!(circuit.take(EVE, Verdict::Sound, false, START), Change::None);
    }
    assert!(circuit.is_calm());
}

#[test]
fn a_payers_own_row_ends_with_its_own_answer_only() {
    let mut circuit = Circuit::new(POLICY);
    for _ in 0..4 {
        faults(&mut circuit, &[EVE]);
        circuit.take(ANN, Verdict::Sound, false, START);
    }
    assert!(!circuit.would_admit(EVE, START) && circuit.would_admit(ANN, START));
    let later = START.plus(POLICY.pause);
    assert_eq!(circuit.admit(EVE, later), Admission::Probe);
    assert_eq!(circuit.admit(EVE, later), Admission::Refused(Duration::ZERO));
    assert_eq!(
        circuit.take(EVE, Verdict::Fault, true, later),
        Change::OpenedForPayer
    );
    assert_eq!(circuit.admit(EVE, later), Admission::Refused(POLICY.pause));
    let later = later.plus(POLICY.pause);
    assert_eq!(circuit.admit(EVE, later), Admission::Probe);
    circuit.take(EVE, Verdict::Sound, true, later);
    assert!(circuit.is_calm());
}

#[test]
fn after_the_pause_a_probe_finds_out_whether_it_recovered() {
    let mut circuit = opened();
    assert_eq!(circuit.admit(EVE, START), Admission::Refused(POLICY.pause));
    let later = START.plus(POLICY.pause);
    assert!(circuit.is_open(), "time alone proves nothing");
    assert_eq!(circuit.admit(ANN, later), Admission::Probe);
    assert_eq!(circuit.admit(ANN, later), Admission::Refused(Duration::ZERO));
    assert_eq!(circuit.take(ANN, Verdict::Sound, true, later), Change::Closed);
    assert_eq!(circuit.admit(EVE, later), Admission::Free);
}

/// Finding 8: a payer whose probes fail neither keeps a circuit open nor takes the others' probes.
#[test]
fn one_payers_failed_probes_do_not_open_a_circuit_anew() {
    let mut circuit = opened();
    let mut now = START;
    for _ in 0..20 {
        now = now.plus(POLICY.pause);
        assert_eq!(circuit.admit(EVE, now), Admission::Probe);
        assert_eq!(
            circuit.take(EVE, Verdict::Fault, true, now),
            Change::OpenedForPayer
        );
        assert!(circuit.would_admit(ANN, now), "another payer's probe passes");
    }
    assert_eq!(circuit.admit(ANN, now), Admission::Probe);
    assert_eq!(
        circuit.take(ANN, Verdict::Fault, true, now),
        Change::OpenedForPayer
    );
    assert_eq!(circuit.admit(BOB, now), Admission::Probe, "two are not enough");
    let mut recovered = circuit.clone();
    assert_eq!(recovered.take(BOB, Verdict::Begun, true, now), Change::Closed);
    assert_eq!(circuit.take(BOB, Verdict::Fault, true, now), Change::Opened);
    assert_eq!(circuit.admit(payer(9), now), Admission::Refused(POLICY.pause));
}

#[test]
fn an_answer_that_only_began_leaves_its_payer_one_fault_from_resting() {
    let mut circuit = opened();
    let later = START.plus(POLICY.pause);
    circuit.admit(ANN, later);
    assert_eq!(circuit.take(ANN, Verdict::Begun, true, later), Change::Closed);
    assert_eq!(circuit.admit(ANN, later), Admission::Free);
    assert_eq!(
        circuit.take(ANN, Verdict::Fault, false, later),
        Change::OpenedForPayer
    );
    assert_eq!(circuit.admit(BOB, later), Admission::Free);
}

#[test]
fn a_probe_that_learned_nothing_leaves_its_place_to_the_next() {
    let mut circuit = opened();
    let later = START.plus(POLICY.pause);
    circuit.admit(ANN, later);
    circuit.take(ANN, Verdict::Unclear, true, later);
    assert_eq!(circuit.admit(ANN, later), Admission::Probe);
}

#[test]
fn a_policy_of_no_faults_never_opens() {
    let mut circuit = Circuit::new(CircuitPolicy { faults: 0, ..POLICY });
    for number in 0..100 {
        assert_eq!(faults(&mut circuit, &[payer(number)]), Change::None);
    }
    assert!(circuit.is_calm());
}

#[test]
fn what_is_remembered_is_bounded_in_number_and_in_time() {
    let mut circuit = Circuit::new(CircuitPolicy {
        faults: 1_000,
        ..POLICY
    });
    for number in 0..=255 {
        circuit.take(payer(number), Verdict::Fault, false, START);
    }
    assert_eq!(circuit.records.len(), MOST_PAYERS);
    let later = START.plus(WINDOW);
    circuit.take(ANN, Verdict::Unclear, false, later);
    assert!(circuit.is_calm());
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Call(u8),
    End(usize, Verdict),
}

fn steps(payers: u8) -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        1 => Just(Verdict::Sound),
        1 => Just(Verdict::Begun),
        5 => Just(Verdict::Fault),
        1 => Just(Verdict::Unclear),
    ];
    let step = prop_oneof![
        (0u64..8).prop_map(Step::Wait),
        (0..payers).prop_map(Step::Call),
        (any::<usize>(), verdict).prop_map(|(which, verdict)| Step::End(which, verdict)),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn probes_are_few_and_nobody_is_kept_away_for_longer_than_a_pause(steps in steps(6)) {
        let mut circuit = Circuit::new(POLICY);
        let mut now = START;
        // Calls under way: whose, and whether each is a probe.
        let mut calls: Vec<(WalletAddress, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Step::Call(number) => {
                    let payer = payer(number);
                    match circuit.admit(payer, now) {
                        Admission::Free => calls.push((payer, false)),
                        Admission::Probe => {
                            prop_assert!(!calls.contains(&(payer, true)));
                            calls.push((payer, true));
                        }
                        Admission::Refused(rest) => {
                            prop_assert!(rest <= POLICY.pause);
                            let probing = calls.iter().any(|(_, probe)| *probe);
                            let later = now.plus(rest);
                            // One's own rest may be followed by everybody's, and the other way round.
                            let again = later.plus(POLICY.pause);
                            prop_assert!(
                                probing || circuit.would_admit(payer, later) || circuit.would_admit(payer, again)
                            );
                        }
                    }
                }
                Step::End(which, verdict) if !calls.is_empty() => {
                    let (payer, probe) = calls.remove(which % calls.len());
                    let change = circuit.take(payer, verdict, probe, now);
                    if matches!(change, Change::Opened | Change::OpenedForPayer) {
                        prop_assert_eq!(verdict, Verdict::Fault);
                    }
                }
                Step::End(..) => {}
            }
            prop_assert!(circuit.records.len() <= MOST_PAYERS);
        }
    }

    /// Finding 8: whatever the calls of a tenant's two wallets come to, no call of another payer is refused
    /// for it.
    #[test]
    fn nothing_that_two_payers_do_keeps_another_away(
        steps in steps(2),
        sound in prop::collection::vec(any::<bool>(), 300),
        faults in 1u32..12,
    ) {
        let mut circuit = Circuit::new(CircuitPolicy { faults, ..POLICY });
        let mut now = START;
        let hostile = |number: u8| payer(100 + number);
        let mut calls: Vec<(u8, bool)> = Vec::new();
        for (step, sound) in steps.into_iter().zip(sound) {
            match step {
                Step::Wait(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Step::Call(number) => match circuit.admit(hostile(number), now) {
                    Admission::Free => calls.push((number, false)),
                    Admission::Probe => calls.push((number, true)),
                    Admission::Refused(_) => {}
                },
                Step::End(which, verdict) if !calls.is_empty() => {
                    let (number, probe) = calls.remove(which % calls.len());
                    circuit.take(hostile(number), verdict, probe, now);
                }
                Step::End(..) => {}
            }
            prop_assert!(!circuit.is_open());
            prop_assert_eq!(circuit.admit(ANN, now), Admission::Free);
            let verdict = if sound { Verdict::Sound } else { Verdict::Unclear };
            circuit.take(ANN, verdict, false, now);
        }
    }
}
