//! The time arithmetic against worked examples and against slow, obvious models.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod clock_model;
#[cfg(test)]
mod inspection_bounds;
#[cfg(test)]
mod interval_model;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod uptime_model;
#[cfg(test)]
mod wall_model;
