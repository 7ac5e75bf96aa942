//+------------------------------------------------------------------+
//|                                                     Database.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// One connection to a SQLite file: statements, their values, the rows that they give, checksums of
// rows. Every failure is a false and one sentence in Problem().
//
// Rule: no text of a statement is made of data, and every request is finished: one that stands on
// a row holds a place in the file, and keeps its log from being taken in. A statement that every
// order needs is kept: SQLite reads its text once, and to finish it is to reset it.
// May touch: Database*. No sockets, orders.

#ifndef BRIDGE_SUPPORT_DATABASE_MQH
#define BRIDGE_SUPPORT_DATABASE_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Crc32.mqh>
#include <Bridge/Wire/MsgPackWriter.mqh>

//--- numbers of MQL5's table of runtime errors: SQLite's own are 5600 and its code
#define DATABASE_ERR_BUSY     5605
#define DATABASE_ERR_LOCKED   5606
#define DATABASE_ERR_READONLY 5608
#define DATABASE_ERR_CORRUPT  5611
#define DATABASE_ERR_FULL     5613
#define DATABASE_ERR_NOTADB   5626

//--- how many statements are kept: those of an order
#define DATABASE_KEPT_MAX 16

#define DATABASE_MOVE_AWAY ": move it away, with its .mark; the terminal then begins as a new one"

//+------------------------------------------------------------------+
//| One connection                                                   |
//+------------------------------------------------------------------+
class CDatabase
  {
private:
   //--- kept statements: request i is that of text i, and is being used or has been reset
   string            m_kept_sql[DATABASE_KEPT_MAX];
   int               m_kept[DATABASE_KEPT_MAX];
   bool              m_kept_used[DATABASE_KEPT_MAX];
   int               m_kept_count;

   int               Make(const string sql);
   int               KeptAt(const int request) const;

protected:
   int               m_database;
   string            m_file;
   string            m_problem;
   bool              m_writes;         // what is being done: for the sentence
   CCrc32            m_crc;

   bool              Connect(const uint flags,const int folder_error);
   void              Disconnect(void);
   bool              Execute(const string sql);
   bool              ReadLong(const string sql,long &value);
   bool              ReadText(const string sql,string &value);
   void              FailSql(const int error);

public:
                     CDatabase(void);
                    ~CDatabase(void);
   bool              IsOpen(void) const { return(m_database!=INVALID_HANDLE); }
   string            Name(void) const { return(m_file); }
   string            Problem(void) const { return(m_problem); }
   //--- one statement: Prepare or Keep, Bind..., Run or Next, Finish always
   int               Prepare(const string sql,const bool writes);
   // The same for one that is needed again: it is prepared once in the life of the connection. All
   // its values are bound each time: those of the last time are still there.
   int               Keep(const string sql,const bool writes);
   bool              BindLong(const int request,const int index,const long value);
   bool              BindText(const int request,const int index,const string value);
   bool              BindBlob(const int request,const int index,const uchar &value[]);
   bool              Run(const int request);
   bool              Next(const int request,bool &row);
   void              Finish(const int request);
   //--- columns of the row that a request stands on
   bool              Long(const int request,const int column,long &value);
   bool              Text(const int request,const int column,string &value);
   bool              Blob(const int request,const int column,uchar &value[]);
   // The checksum over the first columns of the row: over their msgpack array.
   bool              RowCrc(const int request,const int columns,uint &crc) const;
   // Whether the last column is the checksum of those before it.
   bool              IsSound(const int request,const int columns) const;
   uint              Crc(const uchar &bytes[]) const { return(m_crc.Of(bytes)); }
   void              Fail(const string what,const int error);
  };

CDatabase::CDatabase(void) : m_kept_count(0),m_database(INVALID_HANDLE),m_file(""),m_problem(""),m_writes(false)
  {
  }

CDatabase::~CDatabase(void)
  {
   Disconnect();
  }

bool CDatabase::Connect(const uint flags,const int folder_error)
  {
   Disconnect();
   ResetLastError();
   m_database=DatabaseOpen(m_file,flags);
   if(m_database!=INVALID_HANDLE)
      return(true);
   const int error=GetLastError();
   Fail("cannot be opened",(error!=0 ? error : folder_error));
   return(false);
  }

void CDatabase::Disconnect(void)
  {
   const int database=m_database;
   m_database=INVALID_HANDLE;
   for(int i=0; i<m_kept_count; i++)
      DatabaseFinalize(m_kept[i]);
   m_kept_count=0;
   if(database!=INVALID_HANDLE)
      DatabaseClose(database);
  }

//+------------------------------------------------------------------+
//| Statements                                                       |
//+------------------------------------------------------------------+
int CDatabase::Prepare(const string sql,const bool writes)
  {
   m_writes=writes;
   return(Make(sql));
  }

int CDatabase::Keep(const string sql,const bool writes)
  {
   m_writes=writes;
   for(int i=0; i<m_kept_count; i++)
      if(!m_kept_used[i] && m_kept_sql[i]==sql)
        {
         m_kept_used[i]=true;
         return(m_kept[i]);
        }
   const int request=Make(sql);
   //--- behind the last place it is one as any other
   if(request!=INVALID_HANDLE && m_kept_count<DATABASE_KEPT_MAX)
     {
      m_kept_sql[m_kept_count]=sql;
      m_kept[m_kept_count]=request;
      m_kept_used[m_kept_count]=true;
      m_kept_count++;
     }
   return(request);
  }

int CDatabase::Make(const string sql)
  {
   if(m_database==INVALID_HANDLE)
     {
      m_problem="the ledger is not open";
      return(INVALID_HANDLE);
     }
   ResetLastError();
   const int request=DatabasePrepare(m_database,sql);
   if(request==INVALID_HANDLE)
      FailSql(GetLastError());
   return(request);
  }

int CDatabase::KeptAt(const int request) const
  {
   for(int i=0; i<m_kept_count; i++)
      if(m_kept[i]==request)
         return(i);
   return(-1);
  }

bool CDatabase::BindLong(const int request,const int index,const long value)
  {
   if(request==INVALID_HANDLE)
      return(false);
   ResetLastError();
   if(DatabaseBind(request,index,value))
      return(true);
   FailSql(GetLastError());
   return(false);
  }

// A text with a NUL, or with half a character, would be another one in the file.
bool CDatabase::BindText(const int request,const int index,const string value)
  {
   uchar bytes[];
   if(request==INVALID_HANDLE)
      return(false);
   const int count=TextToUtf8(value,bytes);
   if(count<0 || HasNul(bytes,0,count) || !IsUtf8(bytes,0,count) || Utf8ToText(bytes,0,count)!=value)
     {
      Fail("cannot take a text that is no UTF-8",0);
      return(false);
     }
   ResetLastError();
   if(DatabaseBind(request,index,value))
      return(true);
   FailSql(GetLastError());
   return(false);
  }

bool CDatabase::BindBlob(const int request,const int index,const uchar &value[])
  {
   if(request==INVALID_HANDLE)
      return(false);
   ResetLastError();
   if(DatabaseBindArray(request,index,value))
      return(true);
   FailSql(GetLastError());
   return(false);
  }

// Stand on the next row; row tells whether there is one.
bool CDatabase::Next(const int request,bool &row)
  {
   row=false;
   if(request==INVALID_HANDLE)
      return(false);
   ResetLastError();
   row=DatabaseRead(request);
   if(row)
      return(true);
   const int error=GetLastError();
   if(error==ERR_DATABASE_NO_MORE_DATA)
      return(true);
   FailSql(error);
   return(false);
  }

// Run a request that gives no rows.
bool CDatabase::Run(const int request)
  {
   bool row=false;
   return(Next(request,row));
  }

// One that cannot be reset, as after a failure, is prepared anew the next time.
void CDatabase::Finish(const int request)
  {
   if(request==INVALID_HANDLE)
      return;
   const int kept=KeptAt(request);
   if(kept>=0 && DatabaseReset(request)!=0)
     {
      m_kept_used[kept]=false;
      return;
     }
   if(kept>=0)
     {
      m_kept_count--;
      m_kept_sql[kept]=m_kept_sql[m_kept_count];
      m_kept[kept]=m_kept[m_kept_count];
      m_kept_used[kept]=m_kept_used[m_kept_count];
     }
   DatabaseFinalize(request);
  }

bool CDatabase::Execute(const string sql)
  {
   m_writes=true;
   ResetLastError();
   if(DatabaseExecute(m_database,sql))
      return(true);
   FailSql(GetLastError());
   return(false);
  }

bool CDatabase::Long(const int request,const int column,long &value)
  {
   ResetLastError();
   if(DatabaseColumnLong(request,column,value))
      return(true);
   Fail("cannot be read",GetLastError());
   return(false);
  }

bool CDatabase::Text(const int request,const int column,string &value)
  {
   ResetLastError();
   if(DatabaseColumnText(request,column,value))
      return(true);
   Fail("cannot be read",GetLastError());
   return(false);
  }

bool CDatabase::Blob(const int request,const int column,uchar &value[])
  {
   ResetLastError();
   if(DatabaseColumnBlob(request,column,value))
      return(true);
   Fail("cannot be read",GetLastError());
   return(false);
  }

bool CDatabase::ReadLong(const string sql,long &value)
  {
   bool row=false;
   const int request=Prepare(sql,false);
   bool sound=Next(request,row);
   if(sound && row)
      sound=Long(request,0,value);
   Finish(request);
   return(sound && row);
  }

bool CDatabase::ReadText(const string sql,string &value)
  {
   bool row=false;
   const int request=Prepare(sql,false);
   bool sound=Next(request,row);
   if(sound && row)
      sound=Text(request,0,value);
   Finish(request);
   return(sound && row);
  }

bool CDatabase::RowCrc(const int request,const int columns,uint &crc) const
  {
   CMsgPackWriter writer;
   uchar bytes[];
   uchar blob[];
   string text="";
   long number=0;
   double real=0.0;
   if(columns<0)
      return(false);
   writer.BeginArray(columns);
   for(int i=0; i<columns; i++)
      switch(DatabaseColumnType(request,i))
        {
         case DATABASE_FIELD_TYPE_INTEGER:
            if(!DatabaseColumnLong(request,i,number))
               return(false);
            writer.Integer(number);
            break;
         case DATABASE_FIELD_TYPE_FLOAT:
            if(!DatabaseColumnDouble(request,i,real))
               return(false);
            writer.Double(real);
            break;
         case DATABASE_FIELD_TYPE_TEXT:
            if(!DatabaseColumnText(request,i,text))
               return(false);
            writer.String(text);
            break;
         case DATABASE_FIELD_TYPE_BLOB:
            if(!DatabaseColumnBlob(request,i,blob))
               return(false);
            writer.Bytes(blob,0,ArraySize(blob));
            break;
         case DATABASE_FIELD_TYPE_NULL:
            writer.Nil();
            break;
         default:
            return(false);
        }
   if(!writer.ToArray(bytes))
      return(false);
   crc=m_crc.Of(bytes);
   return(true);
  }

bool CDatabase::IsSound(const int request,const int columns) const
  {
   uint expected=0;
   long crc=-1;
   return(RowCrc(request,columns-1,expected) && DatabaseColumnLong(request,columns-1,crc) && crc==(long)expected);
  }

// A statement failed.
void CDatabase::FailSql(const int error)
  {
   if(error==DATABASE_ERR_CORRUPT || error==DATABASE_ERR_NOTADB)
      Fail("is damaged or no ledger",error);
   else
      Fail((m_writes ? "cannot be written" : "cannot be read"),error);
  }

void CDatabase::Fail(const string what,const int error)
  {
   string advice="";
   switch(error)
     {
      case DATABASE_ERR_BUSY:
      case DATABASE_ERR_LOCKED:
         advice=": another program uses it; attach the bridge to one chart only";
         break;
      case DATABASE_ERR_READONLY:
         advice=": it is read-only; change that in its properties";
         break;
      case DATABASE_ERR_CORRUPT:
      case DATABASE_ERR_NOTADB:
         advice=DATABASE_MOVE_AWAY;
         break;
      case DATABASE_ERR_FULL:
         advice=": the disk is full";
         break;
     }
   m_problem="the file MQL5\\Files\\"+m_file+" "+what;
   if(error!=0)
      m_problem+=StringFormat(" (error %d)",error);
   m_problem+=advice;
  }

#endif // BRIDGE_SUPPORT_DATABASE_MQH
