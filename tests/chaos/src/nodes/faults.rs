//! What is done to nodes, and to the database's primary.

/// A fault.
#[derive(Debug)]
pub(crate) struct Fault {
    /// For the command line and the report.
    pub(crate) name: &'static str,
    /// What is done, in a line.
    pub(crate) about: &'static str,
    pub(super) kind: Kind,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    None,
    /// A node without the primary loses its power, and gets it back.
    Kill,
    /// A node without the primary loses the other nodes, and gets them back.
    CutOff,
    /// A node without the primary is drained, and made active again.
    Drain,
    /// The manager that leads loses its power.
    KillLeader,
    /// SIGKILL to the primary.
    KillPrimary,
    /// The primary is asked to step down.
    StepDown,
    /// The primary's node loses the other nodes; clients reach it.
    CutOffPrimary,
    /// A node without the primary loses its power while API and proxy are updated.
    Update,
    /// The registry is gone while API and proxy are updated, and then a node without the primary loses its
    /// power and gets it back.
    Registry,
}

impl Fault {
    /// Whether there has to be a registry to lose.
    pub(super) fn takes_registry(&self) -> bool {
        self.kind == Kind::Registry
    }
}

impl Kind {
    /// Whose node it is about.
    pub(super) fn of_primary(self) -> bool {
        matches!(
            self,
            Self::KillPrimary | Self::StepDown | Self::CutOffPrimary
        )
    }

    /// Whether clients lose the node's address.
    pub(super) fn loses_node(self) -> bool {
        matches!(
            self,
            Self::Kill
                | Self::CutOff
                | Self::Drain
                | Self::KillLeader
                | Self::Update
                | Self::Registry
        )
    }
}

/// All of them, in the order in which they are played.
pub(crate) const ALL: &[Fault] = &[
    Fault {
        name: "none",
        about: "no fault: the control",
        kind: Kind::None,
    },
    Fault {
        name: "primary-stepped-down",
        about: "the primary is told to step down",
        kind: Kind::StepDown,
    },
    Fault {
        name: "primary-killed",
        about: "SIGKILL to the primary's mongod",
        kind: Kind::KillPrimary,
    },
    Fault {
        name: "primary-cut-off",
        about: "the primary's node loses the other nodes, not its clients",
        kind: Kind::CutOffPrimary,
    },
    Fault {
        name: "node-drained",
        about: "`deploy nodes drain --force` of a node with a secondary, later `activate`",
        kind: Kind::Drain,
    },
    Fault {
        name: "node-cut-off",
        about: "a node with a secondary loses the other nodes, later gets them back",
        kind: Kind::CutOff,
    },
    Fault {
        name: "node-killed",
        about: "a node with a secondary loses its power, later gets it back",
        kind: Kind::Kill,
    },
    Fault {
        name: "leader-killed",
        about: "the node of the leading manager loses its power, later gets it back",
        kind: Kind::KillLeader,
    },
    Fault {
        name: "update-while-node-dies",
        about: "API and proxy are updated, and a node with a secondary loses its power meanwhile",
        kind: Kind::Update,
    },
    Fault {
        name: "registry-away",
        about: "the registry is gone: API and proxy are updated, then a node with a secondary loses its power and \
                comes back",
        kind: Kind::Registry,
    },
];
