use mcp_core::{Name, ParseError, Principal, Timestamp, Version};

use crate::catalog::Snapshot;
use crate::feed::{ChannelBody, Row, RowKind};
use crate::{Registry, RegistryError};

/// A channel of a name, and where it points.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Channel {
    /// What it is called, such as `stable`.
    pub channel: Name,
    /// Where it points.
    pub version: Version,
    /// Who moved it there.
    pub actor: Principal,
    /// When.
    pub at: Timestamp,
    /// The row of the change feed that moved it there.
    pub seq: u64,
}

/// One move of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelMove {
    /// The row of the change feed.
    pub seq: u64,
    /// Where it pointed before; `None` when it was made, or made again.
    pub from: Option<Version>,
    /// Where it pointed from then on; `None` when it was removed.
    pub to: Option<Version>,
    /// Who moved it.
    pub actor: Principal,
    /// When.
    pub at: Timestamp,
}

impl Registry {
    /// The channels of `name` behind `after`, by their names; at most `limit`. None for an unknown name.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn channels(
        &self,
        name: &Name,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Channel>, RegistryError> {
        let name = name.clone();
        let after = after.map_or_else(String::new, |after| after.as_str().to_owned());
        let rows = self.readers().read(move |now| now.channels(&name, &after, limit)).await?;
        let channels = rows.into_iter().map(|row| {
            let channel = row.read_body::<ChannelBody>()?.channel;
            let Row { version: Some(version), actor, at, seq, .. } = row else {
                return Err(misplaced(&row));
            };
            Ok(Channel { channel, version, actor, at, seq })
        });
        channels.collect()
    }

    /// How `channel` of `name` was made, moved and removed, the last move first; at most `limit`. To go on, `before` is the
    /// [`seq`](ChannelMove::seq) of the last move that was seen. Each move costs one look-up, however much else happened in between.
    ///
    /// # Errors
    /// By kind: `Invalid` for a channel that is no [`Name`], or a `before` that is no move of it; `NotFound` when there never was such a
    /// channel; `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn channel_history<C: TryInto<Name, Error: Into<ParseError>>>(
        &self,
        name: &Name,
        channel: C,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ChannelMove>, RegistryError> {
        let (name, channel) = (name.clone(), channel.try_into().map_err(Into::into)?);
        self.readers().read(move |now| history(now, &name, &channel, before, limit)).await
    }
}

fn history(
    now: &Snapshot<'_>,
    name: &Name,
    channel: &Name,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ChannelMove>, RegistryError> {
    let last = now.channel(name, channel)?.ok_or_else(|| {
        RegistryError::not_found(format!("channel {channel} of {name}"), "it was never set")
    })?;
    let mut next = match before {
        None => Some(last),
        Some(before) => {
            let seen = if before <= last.seq { now.row(before)?.row } else { last };
            let body = body_of(&seen, name, channel).filter(|_| seen.seq == before).ok_or_else(|| {
                RegistryError::Invalid {
                    what: format!("go on in the history of channel {channel} of {name} before row {before}"),
                    reason: "that row is no move of it".to_owned(),
                }
            })?;
            body.previous.map(|seq| Ok::<_, RegistryError>(now.row(seq)?.row)).transpose()?
        }
    };
    let mut moves = Vec::new();
    while let Some(row) = next.take().filter(|_| moves.len() < limit) {
        let Some(body) = body_of(&row, name, channel) else { return Err(misplaced(&row)) };
        // Each step leads back: so a damaged list ends.
        if body.previous.is_some_and(|previous| previous >= row.seq) {
            return Err(misplaced(&row));
        }
        let Row { seq, version: to, actor, at, .. } = row;
        moves.push(ChannelMove { seq, from: body.from, to, actor, at });
        next = match body.previous {
            Some(previous) if moves.len() < limit => Some(now.row(previous)?.row),
            _ => None,
        };
    }
    Ok(moves)
}

/// What a row says of this channel, if it is one of its moves.
fn body_of(row: &Row, name: &Name, channel: &Name) -> Option<ChannelBody> {
    let moved = matches!(row.kind, RowKind::ChannelMoved | RowKind::ChannelRemoved);
    let body = row.read_body::<ChannelBody>().ok().filter(|body| body.channel == *channel);
    body.filter(|_| moved && row.name.as_ref() == Some(name))
}

fn misplaced(row: &Row) -> RegistryError {
    let seq = i64::try_from(row.seq).unwrap_or(i64::MAX);
    RegistryError::corrupt_row(seq, "it is not the move of a channel that leads to it")
}
