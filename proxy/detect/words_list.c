/* Keywords as people type them: Dutch first, English, some German and French. */
#include "room.h"
#include "words.h"

static const struct word_row rows[] = {
    /* ---- evidence ---- */
    {"bsn bsnnr bsnnummer bsnnumer bsnr bsnnummers bsns sofi sofinr sofienummer sofienr sofinummer "
     "burgerservice burgerserv burgersofi burgerservice* burgerserv* burgerservicenr burgernummer "
     "burgernr burgerservicenummer "
     "burgersevicenummer burgerservisnummer servicenummerburger ssn bsnummer bsnnumner bdn bns "
     "citizenservice citizenservicenumber sofinumber persoonsnummer identificatiepersoon "
     "burgerrservice* buergerservice* bsnnmmr nationalid socialsecurity",
     CTX_BSN},
    {"burger sofi social citizen credit bank giro pin kaart pas rek track fiscaal rijbewijs post "
     "geboorte date geb verificatie bevestigings one kamer debit betaal security service reken "
     "rekening telefoon tel mobiel passport paspoort identity id birth account card phone mobile "
     "sofie ne a v sms verification bevestiging inlog login controle activatie activerings "
     "beveiliging "
     "beveiligings toegang digid veiligheids eenmalige otp den "
     "customer order case ticket invoice klant factuur bestel dossier zaak land ing conto konto "
     "kenteken document vervaldatum wacht mobiele licence license driving number sort chassis",
     WORD_HEAD},
    {"bank banknr giro gironr rknr overschrijven overschrijving storting gestort uitbetalen "
     "uitbetaling "
     "terugbetalen terugbetaling incasseren afschrijven rekeninghouder rekeningcourant iban ibans "
     "ibannr ibannummer iabn ibam ibna rek reknr reknummer rekeningnr rekeningnummer "
     "rekening "
     "reknrs rekeningen rekeningn* rekenin* rekningnummer rekningnr rekeningnr bankrek "
     "bankrekening* "
     "bankreknr bankreknummer bankrekeningnr banknummer bankgegevens rekenig* rekeninng* rekeing* "
     "rekennummer rekenigsnummer tnv overmaken overboeken overgemaakt storten terugstorten "
     "gironummer girorekening spaarrekening betaalrekening incasso machtiging rekninnummer "
     "account accountnumber bankaccount bankaccountnumber kontonummer kontonr konto bankverbindung "
     "bankkonto compte bancaire rib virement uberweisen uberweisung bic "
     "bankrekenning rekeningnumer rekeningnummr rekingnummer rekningen",
     CTX_ACCOUNT},
    {"pas kaart krt bankkaart pasje kaartje mastercard* creditcard* visakaart* visacard* "
     "visanummer bankpas* betaalpas* debitcard* "
     "creditcard creditcards creditkaart creditcardnummer creditcardnr kredietkaart kaartnr "
     "kaartnummer kaartnummr kaartnumer pasnr pasnummer cardnumber cardnr visa mastercard "
     "mastercrd "
     "maestro amex "
     "americanexpress visacard bankpas betaalpas bankpasnummer debitcard debitkaart pan "
     "unionpay kreditkarte kreditkartennummer kartennummer carte bancontact cartebancaire "
     "betaalkaart cc ccnr card vpay credticard creditcrad creditkaar* creditkard mc diners "
     "creditcardgegevens kreditkartennr cardno",
     CTX_CARD},
    {"tel telnr telnummer telefoon telefoonnr telefoonnummer telefoonnumer telefon telefonnummer "
     "telefoonnum* mobiel mobielnr mobielnummer mobieltje mob mobile mobilephone mobilenumber gsm "
     "bel bellen bereikbaar belt bereiken whatsapp app appen appt nummertje phone phonenumber call "
     "reach handy handynummer portable telephone telefonisch terugbellen terugbelverzoek "
     "belnummer 06nummer nul06 sms rufnummer anrufen appelez joindre rappeler tlf tlfnr telf telno "
     "06nr belme callme mobilenr",
     CTX_PHONE},
    {"geb gebdat gebdatum gebd geboren geboortedatum geboortedat geboortedatm geboortedag "
     "geboortedatums geboort* gebore geborn birthdate birthday birth born dob dateofbirth "
     "geburtsdatum geburtstag gebjaar naissance verjaardag jarig nele gebroren gebooren "
     "gebdtm geboortejaar bday",
     CTX_DOB},
    {"kenteken kentekens kentekennr kentekennummer kentekenplaat nummerplaat nummerborden "
     "nummerbord "
     "kntkn kentekn kentkeen licenceplate licenseplate numberplate platenumber plate kennzeichen "
     "plaque immatriculation kentekenbewijs registratienummer kenteeken knteken parkeerrecht "
     "autokenteken",
     CTX_PLATE},
    {"paspoort paspoortnr paspoortnummer paspoortnummr paspoortnumer paspoor* idkaart "
     "idkaartnummer identiteitskaart "
     "identiteitsbewijs identiteitskaartnummer documentnummer documentnr docnr idnummer "
     "legitimatiebewijs legitimatie legitimatienummer identiteitsnummer idbewijs "
     "passport passportnumber passportno idcard identitycard reisepass ausweis personalausweis "
     "ausweisnummer passeport reisdocument verblijfsvergunning verblijfsdocument idnr passpoort "
     "paspport passnummer reisepassnummer documentnumber identitei* iddoc paspoortno nik",
     CTX_DOCUMENT},
    {"rijbewijs rijbewijsnummer rijbewijsnr rybewijs rijbewijsnumer drivinglicence drivinglicense "
     "driverslicense driverslicence fuhrerschein fuhrerscheinnummer permis rijbwijs rijebwijs "
     "drivinglicencenumber licencenumber rijbewijzen",
     CTX_DRIVING},
    {"pin pincode pincodes pinnummer pinnr pincod pinkode pincde geheim code_pin geheimzahl "
     "toegangscode inlogcode puk pukcode pinnumber",
     CTX_PIN},
    {"cvc cvv cvs cvccode cvvcode cvc2 cvv2 veiligheidscode kaartverificatiecode securitycode "
     "beveiligingscode kaartcode cid prufnummer",
     CTX_CVC},
    {"wachtwoord wachtwoorden ww wachtwrd wachtwoort wachtwood wachtwoordje password passwd pw pwd "
     "passwort passwoord paswoord motdepasse passe kennwort wachtwoord1 pasword wchtwoord "
     "watchwoord "
     "wacthwoord wachtowrd wwoord",
     CTX_PASSWORD},
    {"tan tancode tannummer otp smscode verificatiecode logincode digidcode bevestigingscode "
     "inlogcode eenmalige "
     "beveiligingscode controlecode activeringscode activatiecode verificationcode onetimecode "
     "verificatie authenticatiecode authenticator logincode onetimepassword passcode 2fa "
     "digidcode bestatigungscode verifcode aanmeldcode koppelcode toegangscode",
     CTX_CODE},
    {"vervaldatum verloopdatum vervalt geldig exp expiry expires expiration verval "
     "verlooptdatum geldigtot expirydate gultig validthru expdate expdatum vervaldat verloopt",
     CTX_EXPIRY},
    {"adres woonadres huisadres postadres adresgegevens woon woonachtig woont wonen wonende "
     "verhuisd verhuizen postcode address adress huisnummer huisnr bezorgadres adresse wohne live "
     "thuisadres afleveradres woonplaats addr factuuradres straatnaam "
     "bezorgen",
     CTX_ADDRESS},
    {"email mail mailadres emailadres mailen mailadress emailadress mailtje courriel emailaddress "
     "gmail hotmail mailt",
     CTX_EMAIL},
    {"locatie location coordinaten coordinates gps lat lon lng latitude longitude positie "
     "koordinaten "
     "coords",
     CTX_LOCATION},
    {"naam name heet heette achternaam voornaam tnv namens ondergetekende heise nom "
     "appelle groet groetjes groeten gr mvg grt dhr mevr mevrouw meneer mw mr mrs heer "
     "vriendelijke hoogachtend regards gruss heise gegroet",
     CTX_NAME},
    /* ---- counter-evidence ---- */
    {"order ordernr ordernummer ordernumer ordnr orders orderid ordernumber bestelling "
     "bestellingen "
     "bestelnr bestelnummer bestellingsnummer bestelingnummer bestelcode besteld bestelde "
     "bestellnummer "
     "bestellung bestelnumer bestelnummr commande "
     "factuur facturen factuurnr factuurnummer factnr fact facnr invoice invoicenumber rechnung "
     "rechnungsnummer facture klantnr klantnummer klantnumer klantnummr klntnr klantcode klantid "
     "customerid customernumber kundennummer ticket ticketnr ticketnummer tickets incident "
     "incidentnummer case casenummer caseid zaak zaaknr zaaknummer zaakid zaken dossier dossiernr "
     "dossiernummer kenmerk kenmerken referentie referentienummer refnr ref reference "
     "betalingskenmerk meldingsnummer melding meldnr meldnummer aanvraag aanvraagnummer aanvraagnr "
     "offerte offertenr offertenummer contract contractnr contractnummer polis reservering "
     "reserveringsnummer booking boeking boekingsnummer boekingnr lidmaatschapsnummer lidnummer "
     "relatienr relatienummer acceptgiro acceptgirokaart aansluitnummer debiteur debiteurnummer "
     "debiteurennummer artikel artikelnummer "
     "artikelnr artnr product productnummer productcode sku transactie transactienummer "
     "transactieid projectnummer project claim claimnummer schadenummer retour "
     "retournummer retournr rma aanslag aanslagnummer vordering vorderingsnummer "
     "beschikkingsnummer "
     "beschikking serviceverzoek bonnummer bon kassabon kortingscode actiecode cadeaubon voucher "
     "aktenzeichen vorgangsnummer bestelref orderref transaction vergadering gespreksnummer "
     "chatnummer sessienummer werkorder werkordernr pakbon pakbonnummer subsidie vergunning "
     "vergunningnummer objectnummer woz kadaster perceel omschrijving batch licentie "
     "licentiesleutel "
     "licentienummer klantennummer cliëntnummer clientnummer clientnr",
     CNT_ORDER},
    {"rsin kvk kvknr kvknummer kvkno vestigingsnummer vestigingsnr vestnr oin big bignummer bignr "
     "bigregistratie agb agbcode btw btwnr btwnummer btwid vat vatid vatnumber omzetbelasting "
     "omzetbelastingnummer loonheffingen loonheffingennummer loonbelastingnummer fiscaalnummer "
     "onderneming rechtspersoon stichting bv ustid steuernummer handelsregister kamervankoophandel "
     "bedrijfsnummer ondernemingsnummer eori eorinummer duns sbi rsinnummer rsinnr fiscaal "
     "fi organisatie",
     CNT_COMPANY},
    {"tracking trackingcode trackingnr trackingnummer tracktrace tracktracecode barcode "
     "barcodenummer "
     "zending zendingnummer zendingsnummer zendingnr pakket pakketje pakketnummer postnl dhl dpd "
     "ups "
     "gls fedex colli collinummer verzending verzendcode verzendnummer sendungsnummer sendung "
     "paket colis shipment parcel tnt trunkrs trackcode tracecode",
     CNT_TRACK},
    {"imei imeinr imeinummer ean eancode eannr ean13 ean18 isbn isbnnr isbn13 isbn10 issn gtin "
     "serie serienr "
     "serienummer serialnumber serial sn meternummer meternr meterstand meterstanden meterst stand "
     "standen teller tellerstand kwh gasmeter watermeter stroommeter meter iccid simkaart sim "
     "simkaartnummer macadres mac chassisnummer vin framenummer modelnummer typenummer model "
     "apparaatnummer apparaat kilometerstand kmstand verbruik dag nacht hoogtarief laagtarief "
     "seriennummer zahlerstand firmware versie version build uuid guid hash sha sha1 sha256 md5 "
     "commit token foutcode errorcode foutmelding error",
     CNT_DEVICE},
    {"euro eur euros bedrag bedragen saldo prijs kosten cent totaal subtotaal betaald betaling "
     "openstaand openstaande teruggave nettobedrag dollar usd miljoen montant betrag amount price",
     CNT_AMOUNT},
    {"code codes nummercode", CNT_NUMBER | WORD_PLAIN},
    {"vnummer vnr anummer anr ov ovchip ovchipkaart chipkaart chipkaartnummer ovchipkaartnummer "
     "spaarkaart klantenkaart klantenkaartnummer cadeaukaart cadeaukaartnummer bonuskaart airmiles "
     "spaarkaartnummer bibliotheekpas bibliotheekkaart stadspas stadspasnummer milieupas "
     "milieupasnummer afvalpas afvalpasnummer",
     CNT_NUMBER},
    {"bel bellen bereikbaar belt bereiken whatsapp app appen appt call reach sms anrufen appelez "
     "joindre "
     "rappeler terugbellen telefonisch gebeld geappt belde "
     "betaald betaling kosten totaal saldo teruggave prijs openstaand openstaande klant",
     WORD_PLAIN},
    /* topics: weak counter-evidence (context.c) */
    {"dossier zaak zaken factuur facturen bestelling bestellingen besteld bestelde contract polis "
     "reservering "
     "booking boeking project claim retour melding aanvraag offerte product artikel transactie "
     "transaction "
     "vergunning subsidie aanslag beschikking pakket pakketje zending parcel shipment case ticket "
     "tickets "
     "incident stichting onderneming organisatie apparaat meter versie model error foutmelding "
     "vordering invoice "
     "rechnung facture bestellung commande paket colis order orders kenmerken omschrijving "
     "vergadering perceel "
     "serviceverzoek bon licentie batch",
     WORD_PLAIN},
    {"klantenservice servicenummer openingstijden helpdesk servicedesk infolijn hoofdnummer "
     "customerservice algemene kundenservice",
     CNT_SERVICE},
    {"verhuisdatum ingangsdatum overleden overlijden overlijdensdatum trouwdatum huwelijk getrouwd "
     "trouwen gescheiden afspraak afspraken vertrekdatum factuurdatum besteldatum startdatum "
     "einddatum "
     "begindatum boekingsdatum geboorteaangifte geboorteakte geboorteverlof geboorteregister "
     "aankomst vertrek reisdatum leverdatum bezorgdatum ingaan ingang per vanaf died married",
     CNT_DATE},
    /* ---- helpers ---- */
    {"at apenstaart apenstaartje apestaartje aapje arobase", WORD_AT},
    {"amsterdam rotterdam utrecht eindhoven groningen tilburg almere breda nijmegen apeldoorn "
     "haarlem "
     "arnhem amersfoort enschede zaanstad hoofddorp zwolle leiden zoetermeer maastricht dordrecht "
     "ede "
     "emmen delft venlo deventer helmond hilversum heerlen oss sittard roosendaal purmerend "
     "schiedam "
     "spijkenisse leeuwarden alkmaar vlaardingen gouda zaandam hoorn veenendaal katwijk nieuwegein "
     "zeist assen hardenberg doetinchem terneuzen oosterhout kampen woerden houten weert rijswijk "
     "middelburg barneveld harderwijk vlissingen goes heerhugowaard beverwijk amstelveen hengelo "
     "almelo waalwijk wageningen tiel culemborg bussum baarn soest huizen naarden epe putten "
     "nunspeet "
     "ermelo meppel hoogeveen sneek drachten heerenveen franeker steenwijk lelystad dronten urk "
     "volendam edam enkhuizen medemblik schagen heiloo bergen castricum velsen ijmuiden zandvoort "
     "heemstede haarlemmermeer aalsmeer uithoorn woudenberg leusden bunnik driebergen doorn rhenen "
     "oldenzaal borne winterswijk zutphen lochem brummen rheden duiven zevenaar elst druten "
     "wijchen "
     "cuijk boxmeer uden veghel boxtel vught best veldhoven geldrop valkenswaard roermond kerkrade "
     "valkenburg geleen brunssum hulst zierikzee brielle hellevoetsluis barendrecht ridderkerk "
     "papendrecht gorinchem leerdam wassenaar voorburg leidschendam voorschoten lisse hillegom "
     "noordwijk wervershoof winschoten delfzijl stadskanaal veendam hoogezand bolsward dokkum "
     "antwerpen gent brugge brussel leuven hasselt mechelen berlin koln hamburg munchen paris lyon "
     "london denhaag denbosch denhelder gravenhage haag",
     WORD_PLACE},
    {"straat laan weg plein gracht kade singel dijk steeg hof pad markt dreef street avenue "
     "strasse rue",
     WORD_STREET},
    {"januari jan februari feb febr maart mrt april apr mei juni jun juli jul augustus aug "
     "september "
     "sept sep oktober okt oct october november nov december dec january february march may june "
     "july "
     "august januar februar marz juin juillet aout septembre octobre novembre decembre janvier "
     "fevrier mars avril mai dezember",
     WORD_MONTH},
    {"de het een en of is was ben bent van voor met op in te aan om dat dit die ik u uw mijn je "
     "jij "
     "niet wel geen maar ook nog al er als dan bij naar uit over door hoe wat wie waar wanneer kan "
     "kunt moet wil heb heeft hebt had zijn worden wordt the a an is my your and or not it i you "
     "vergeten kwijt verlopen onjuist fout verkeerd geblokkeerd resetten reset wijzigen gewijzigd "
     "veranderen veranderd aangepast aanpassen opnieuw nieuw nieuwe oud oude kort lang te "
     "verplicht "
     "nodig onbekend bekend gehackt gelekt gestolen incorrect wrong forgotten expired lost blocked "
     "doet werkt klopt ongeldig geldig steeds weer ontvangen gekregen gestuurd verstuurd invoeren "
     "invullen ingevuld instellen vragen gevraagd aangevraagd aanvragen sterk zwak veilig onveilig "
     "geaccepteerd herkend herkent hersteld herstellen ingesteld ingevoerd hetzelfde anders goed "
     "correct juist kwijtgeraakt opgeslagen verwijderd ist das mein nicht vergessen falsch le mon "
     "est oublie changed invalid reset required needed still again been has have had",
     WORD_PLAIN},
};

static const struct word_row long_rows[] = {
    {"burgerservicenummer", CTX_BSN},
    {"burgerservicenr", CTX_BSN},
    {"sofinummer", CTX_BSN},
    {"rekeningnummer", CTX_ACCOUNT},
    {"rekeningnr", CTX_ACCOUNT},
    {"bankrekening", CTX_ACCOUNT},
    {"bankrekeningnummer", CTX_ACCOUNT},
    {"rekening", CTX_ACCOUNT},
    {"creditcard", CTX_CARD},
    {"creditcardnummer", CTX_CARD},
    {"kaartnummer", CTX_CARD},
    {"pasnummer", CTX_CARD},
    {"mastercard", CTX_CARD},
    {"telefoonnummer", CTX_PHONE},
    {"telefoon", CTX_PHONE},
    {"geboortedatum", CTX_DOB},
    {"geboren", CTX_DOB},
    {"kenteken", CTX_PLATE},
    {"paspoort", CTX_DOCUMENT},
    {"paspoortnummer", CTX_DOCUMENT},
    {"identiteitskaart", CTX_DOCUMENT},
    {"documentnummer", CTX_DOCUMENT},
    {"rijbewijs", CTX_DRIVING},
    {"rijbewijsnummer", CTX_DRIVING},
    {"pincode", CTX_PIN},
    {"wachtwoord", CTX_PASSWORD},
    {"password", CTX_PASSWORD},
    {"verificatiecode", CTX_CODE},
    {"beveiligingscode", CTX_CODE | CTX_CVC},
    {"vervaldatum", CTX_EXPIRY},
    {"bestelnummer", CNT_ORDER},
    {"ordernummer", CNT_ORDER},
    {"klantnummer", CNT_ORDER},
    {"factuurnummer", CNT_ORDER},
    {"bestelling", CNT_ORDER},
    {"factuur", CNT_ORDER},
    {"zaaknummer", CNT_ORDER},
    {"dossiernummer", CNT_ORDER},
    {"ticketnummer", CNT_ORDER},
    {"serienummer", CNT_DEVICE},
};

const struct word_row *word_rows(size_t *count)
{
    *count = sizeof rows / sizeof *rows;
    return rows;
}

const struct word_row *word_long_rows(size_t *count)
{
    *count = sizeof long_rows / sizeof *long_rows;
    return long_rows;
}
