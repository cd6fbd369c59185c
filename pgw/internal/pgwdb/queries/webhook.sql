-- name: KeepNotification :one
-- Whether it is new today.
INSERT INTO pgw.provider_notifications AS n (id, provider, source, payload, kind, received_at)
VALUES (@id, @provider, @source::inet, @payload, @kind, @received_at)
ON CONFLICT (id) DO UPDATE SET repeats = n.repeats + 1
RETURNING n.repeats;

-- name: AnnounceFile :exec
INSERT INTO pgw.provider_files (id, provider, contract_id, name, url, announced_at)
VALUES (@id, @provider, @contract_id, @name, @url, @announced_at)
ON CONFLICT DO NOTHING;

-- name: AnnouncedFiles :many
SELECT * FROM pgw.provider_files WHERE fetched_at IS NULL AND provider = @provider AND announced_at >= @since ORDER BY id;

-- name: FileFetched :exec
UPDATE pgw.provider_files SET fetched_at = @fetched_at WHERE id = @id;
