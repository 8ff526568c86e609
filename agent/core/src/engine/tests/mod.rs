mod bench;
mod commands;
mod life;
mod peripherals;
mod properties;
mod restarts;
mod sizes;
