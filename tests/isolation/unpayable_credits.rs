//! A payee that cannot be paid does not block the payer or the other payees.
