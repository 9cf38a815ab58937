-- The service's login. It owns its database and makes the role `clipthat_app`, which its
-- transactions run as (store/state/fences.py); it is no superuser, so its rows stay fenced.
\getenv password DATABASE_PASSWORD
CREATE ROLE clipthat LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE clipthat OWNER clipthat;
