//! What a log that changes some methods of another leaves as it is.

/// The methods of [`Log`](super::Log) that a log with a fault hands to the one in its field `log`. Their types are those that an
/// implementation of the trait imports.
macro_rules! forward_log {
    () => {
        fn records<'a>(
            &'a self,
            stream: &'a StreamKey,
            after: u64,
            max: usize,
        ) -> BoxFuture<'a, Result<Vec<Record>, LogError>> {
            self.log.records(stream, after, max)
        }

        fn snapshot<'a>(
            &'a self,
            stream: &'a StreamKey,
        ) -> BoxFuture<'a, Result<Option<Snapshot>, LogError>> {
            self.log.snapshot(stream)
        }

        fn put_snapshot<'a>(
            &'a self,
            stream: &'a StreamKey,
            snapshot: Snapshot,
        ) -> BoxFuture<'a, Result<(), LogError>> {
            self.log.put_snapshot(stream, snapshot)
        }

        fn trim<'a>(&'a self, stream: &'a StreamKey, through: u64) -> BoxFuture<'a, Result<u64, LogError>> {
            self.log.trim(stream, through)
        }

        fn redact<'a>(&'a self, stream: &'a StreamKey, offset: u64) -> BoxFuture<'a, Result<bool, LogError>> {
            self.log.redact(stream, offset)
        }

        fn new_epoch<'a>(
            &'a self,
            stream: &'a StreamKey,
            current: &'a str,
        ) -> BoxFuture<'a, Result<Head, LogError>> {
            self.log.new_epoch(stream, current)
        }

        fn unfinished<'a>(
            &'a self,
            after: Option<&'a StreamKey>,
            max: usize,
        ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
            self.log.unfinished(after, max)
        }

        fn streams<'a>(
            &'a self,
            after: Option<&'a StreamKey>,
            max: usize,
        ) -> BoxFuture<'a, Result<Vec<StreamKey>, LogError>> {
            self.log.streams(after, max)
        }

        fn secret(&self) -> [u8; 32] {
            self.log.secret()
        }

        fn check(&self) -> BoxFuture<'_, Result<(), LogError>> {
            self.log.check()
        }
    };
}

pub(crate) use forward_log;
