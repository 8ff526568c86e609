//! Which of the three contract ratios somebody looks at.
use kioskwatch_domain::uptime::{Figures, Ratio};
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// 开机率.
    #[default]
    On,
    /// 可用率.
    Avail,
    /// 全功能率.
    Full,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::On, Self::Avail, Self::Full];

    /// As it stands in an address and in a statement.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Avail => "avail",
            Self::Full => "full",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub const fn of(self, figures: &Figures) -> Ratio {
        match self {
            Self::On => figures.on,
            Self::Avail => figures.avail,
            Self::Full => figures.full,
        }
    }

    /// The target is a promise about being on and in service; full function is nobody's (service rules 2).
    pub const fn is_promised(self) -> bool {
        !matches!(self, Self::Full)
    }

    /// Whether the promise is kept; `None` where there is none, or nothing was counted.
    pub fn meets(self, ratio: Ratio, (a, b): (i64, i64)) -> Option<bool> {
        (self.is_promised() && ratio.den > 0).then(|| ratio.meets(a, b))
    }
}
