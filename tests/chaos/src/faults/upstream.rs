//! Another backend appears under the name `flask-app`, and is faulty.

use async_trait::async_trait;
use clap::ValueEnum;
use engine::error::Result;

use super::Injection;
use crate::helper::{Helper, Role};
use crate::load::Load;
use crate::stack::Stack;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manner {
    /// Accepts connections and never answers.
    Silent,
    /// Answers 200, and closes in the middle of the body.
    Half,
    /// Resets the connection once it has the request.
    Reset,
}

impl Manner {
    /// As it is said on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Half => "half",
            Self::Reset => "reset",
        }
    }
}

/// A container beside the real ones, which the proxy finds through DNS as it finds them.
#[derive(Debug)]
pub(super) struct Faulty {
    stack: Stack,
    manner: Manner,
    backend: Option<Helper>,
}

impl Faulty {
    pub(super) fn new(stack: Stack, manner: Manner) -> Self {
        Self {
            stack,
            manner,
            backend: None,
        }
    }
}

#[async_trait]
impl Injection for Faulty {
    fn victim(&self) -> String {
        "one of three backends".to_owned()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let role = Role::Backend(self.manner);
        self.backend = Some(Helper::start(&self.stack, role).await?);
        Ok(())
    }

    async fn heal(&mut self) -> Result<()> {
        match self.backend.take() {
            Some(backend) => backend.remove(&self.stack).await,
            None => Ok(()),
        }
    }
}
