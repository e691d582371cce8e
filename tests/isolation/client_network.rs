//! Limits count client networks, and one network cannot lock out another.
