//! What an installation is deployed with and watched by: the files of `deploy/`, `docker-compose.yml`, the workflows and the
//! scripts, held against the program.

mod alerts;
mod compose;
mod files;
mod kubernetes;
mod metrics;
mod promql;
mod scripts;
mod smoke;
mod workflows;
