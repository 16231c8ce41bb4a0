#!/bin/bash
# Run once by the database's image: the application's role is no superuser.
set -euo pipefail
psql --username "${POSTGRES_USER:-postgres}" --set ON_ERROR_STOP=1 \
  --set password="$UNOSAT_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE unosat LOGIN NOSUPERUSER NOCREATEDB PASSWORD :'password';
CREATE DATABASE unosat OWNER unosat;
\connect unosat
CREATE EXTENSION IF NOT EXISTS postgis;
SQL
