-- Read once, when the volume of compose.yaml's database is new: Docket's own user, who owns one database and nothing else.
\getenv password POSTGRES_PASSWORD
CREATE ROLE docket LOGIN PASSWORD :'password';
CREATE DATABASE docket OWNER docket;
-- Without a password no one signs in as superuser over the network, only from inside the container.
ALTER ROLE postgres PASSWORD NULL;
