//! For tests and simulations of this and other packages; nothing here runs in a server.
pub mod memory_store;
pub mod scripted_agent;
pub mod world;

pub use self::{
    memory_store::{CommitError, MemoryStore},
    scripted_agent::ScriptedAgent,
    world::World,
};
