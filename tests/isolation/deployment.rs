//! A production deployment has a daily cap, a guardian and a separate owner.
