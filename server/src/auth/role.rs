//! Roles, and the table of what each may do.

/// Who somebody is to the service organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Works on tickets and asks kiosks for things.
    Dispatcher,
    /// Looks, asks kiosks for things, and asks for corrections: an engineer's own tickets and visits are not told
    /// apart yet.
    Engineer,
    /// Looks, and decides about signed figures and corrections; never about one's own.
    Manager,
    /// Everything.
    Admin,
    /// Nothing, in this version: a customer must not see the insides of devices, and no view leaves them out.
    Customer,
}

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// See kiosks, tickets, figures of one's scope.
    See,
    /// Open and move tickets.
    WorkTickets,
    /// Ask a kiosk for something, call it off. Disruptive actions then still wait for approval.
    Operate,
    /// Let a disruptive command go, or stop it. Never one's own.
    Approve,
    /// Register and change sites and kiosks.
    Configure,
    /// Read who did what.
    ReadAudit,
    /// Say that something about the past was entered wrong.
    Correct,
    /// Decide about another's correction, and about a restatement that does not measure oneself.
    Restate,
}

impl Role {
    pub const ALL: &'static [Self] =
        &[Self::Viewer, Self::Dispatcher, Self::Engineer, Self::Manager, Self::Admin, Self::Customer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Dispatcher => "dispatcher",
            Self::Engineer => "engineer",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::Customer => "customer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text)
    }

    /// The whole table; what is not in it is refused.
    pub const fn may(self, right: Right) -> bool {
        match right {
            Right::See => !matches!(self, Self::Customer),
            Right::WorkTickets => matches!(self, Self::Dispatcher | Self::Admin),
            Right::Operate => matches!(self, Self::Dispatcher | Self::Engineer | Self::Admin),
            Right::Correct => {
                matches!(self, Self::Dispatcher | Self::Engineer | Self::Manager | Self::Admin)
            }
            Right::Restate => matches!(self, Self::Manager | Self::Admin),
            Right::Approve | Right::Configure | Right::ReadAudit => matches!(self, Self::Admin),
        }
    }
}
