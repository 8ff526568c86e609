//! What an organisation may set about its inspections; the defaults are the rulebook's.

/// Days of plans and reports. All are days of a month or numbers of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Planned first day of the monthly phone campaign (C18).
    pub phone_start_day: u32,
    /// Its length in calendar days (SR-200).
    pub phone_days: u32,
    /// Its report is due before this day of the next month (SR-201).
    pub phone_report_day: u32,
    /// Month of the quarter, 1 to 3, in which the on-site campaign starts.
    pub onsite_start_month_of_quarter: u32,
    pub onsite_start_day: u32,
    /// Its length in calendar days (SR-202).
    pub onsite_days: u32,
    /// Its report is due before this day of the next quarter's first month (SR-203).
    pub onsite_report_day: u32,
    /// Working days after a campaign for its statistics (SR-214).
    pub stats_workdays: u32,
    /// Monthly statistics are due before this day of the next month (SR-220).
    pub monthly_stats_day: u32,
    /// The monthly project report is due before this day of the next month (SR-221).
    pub monthly_project_day: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            phone_start_day: 20,
            phone_days: 3,
            phone_report_day: 3,
            onsite_start_month_of_quarter: 3,
            onsite_start_day: 1,
            onsite_days: 15,
            onsite_report_day: 5,
            stats_workdays: 5,
            monthly_stats_day: 4,
            monthly_project_day: 5,
        }
    }
}

/// A value no calendar can follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: must be {least} to {most}")]
pub struct PolicyError {
    pub key: &'static str,
    pub value: u32,
    pub least: u32,
    pub most: u32,
}

impl Policy {
    /// Checks each value.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn validate(&self) -> Result<(), PolicyError> {
        // A day beyond the end of a short month means its last day, and a campaign longer than its
        // period fills it, so only what exists nowhere is refused.
        let rows = [
            ("phone_start_day", self.phone_start_day, 31),
            ("phone_days", self.phone_days, 31),
            ("phone_report_day", self.phone_report_day, 31),
            ("onsite_start_month_of_quarter", self.onsite_start_month_of_quarter, 3),
            ("onsite_start_day", self.onsite_start_day, 31),
            ("onsite_days", self.onsite_days, 92),
            ("onsite_report_day", self.onsite_report_day, 31),
            ("stats_workdays", self.stats_workdays, 250),
            ("monthly_stats_day", self.monthly_stats_day, 31),
            ("monthly_project_day", self.monthly_project_day, 31),
        ];
        match rows.into_iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            Some((key, value, most)) => Err(PolicyError { key, value, least: 1, most }),
            None => Ok(()),
        }
    }
}
