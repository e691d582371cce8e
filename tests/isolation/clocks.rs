//! Rate limits and the settlement gate do not depend on the wall clock.
