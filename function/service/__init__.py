"""The AWS Lambda service: routes, intake, jobs, archive and storage."""
