mod bench;
mod commands;
mod gate;
mod life;
mod peripherals;
mod properties;
mod restarts;
mod sizes;
