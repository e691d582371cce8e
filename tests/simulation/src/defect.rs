//! Defects that can be put into a history on purpose, each in the place where a rule's decision is stored or read.

/// An error that a history must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// A capture that is repeated after a lost answer is charged again.
    CaptureRepeated,
    /// A capture is acknowledged before it is stored.
    AcknowledgedEarly,
    /// The holds of an instance that ended are not released.
    HoldsOfEndedInstance,
    /// A decision over a hold does not see the holds of other calls.
    HoldsUnseen,
    /// A rewind leaves the entries of dropped blocks in the ledger.
    RewindWithoutReversal,
    /// The calls of a skipped line do not wait for another batch.
    SkippedLineForgotten,
    /// What a skipped line changed of the carry stays.
    CarryKept,
    /// An event that is indexed again counts again.
    EventCountedTwice,
    /// A frozen withdrawal that was cancelled stays frozen.
    CancelledStaysFrozen,
    /// Dissolving a batch keeps its changes of the carry.
    DissolvedCarryKept,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CaptureRepeated,
        Self::AcknowledgedEarly,
        Self::HoldsOfEndedInstance,
        Self::HoldsUnseen,
        Self::RewindWithoutReversal,
        Self::SkippedLineForgotten,
        Self::CarryKept,
        Self::EventCountedTwice,
        Self::CancelledStaysFrozen,
        Self::DissolvedCarryKept,
    ];
}
